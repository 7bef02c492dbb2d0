"""Which files count as source, and what counts as a change."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from microsock.adapters.changes import Doorbell, SourceFiles, changed

PATIENCE = 30.0


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "films.py").write_text("one")
    return tmp_path


def names(files: SourceFiles) -> set[str]:
    return {Path(path).name for path in files.snapshot()}


def test_source_files_are_found_in_all_directories_below(site: Path) -> None:
    (site / "shop" / "parts").mkdir(parents=True)
    (site / "shop" / "parts" / "page.html").touch()
    (site / ".env").touch()
    assert names(SourceFiles([site])) == {"films.py", "page.html", ".env"}


@pytest.mark.parametrize(
    "other",
    ["data.db", "notes.txt", "films.pyc", "films.py~", ".#films.py", "#films.py#", ".films.py.swp", "4913"],
)
def test_what_an_app_or_an_editor_writes_is_no_source(site: Path, other: str) -> None:
    (site / other).touch()
    assert names(SourceFiles([site])) == {"films.py"}


@pytest.mark.parametrize("hidden", [".git", "__pycache__", "node_modules", "site-packages"])
def test_directories_of_tools_are_not_looked_into(site: Path, hidden: str) -> None:
    (site / hidden).mkdir()
    (site / hidden / "other.py").touch()
    assert names(SourceFiles([site])) == {"films.py"}


def test_nor_are_virtual_environments_and_circles_of_links(site: Path) -> None:
    (site / "env").mkdir()
    (site / "env" / "pyvenv.cfg").touch()
    (site / "env" / "other.py").touch()
    (site / "again").symlink_to(site)
    assert names(SourceFiles([site])) == {"films.py"}


def test_a_directory_that_is_not_there_has_no_files_until_it_is(tmp_path: Path) -> None:
    files = SourceFiles([tmp_path / "later"])
    assert files.snapshot() == {}
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "films.py").touch()
    assert names(files) == {"films.py"}


def test_new_changed_and_removed_files_are_changes(site: Path) -> None:
    files = SourceFiles([site])
    (site / "old.py").touch()
    before = files.snapshot()
    assert changed(before, files.snapshot()) == []
    (site / "old.py").unlink()
    (site / "new.py").touch()
    (site / "films.py").write_text("other")
    after = files.snapshot()
    assert [Path(path).name for path in changed(before, after)] == ["films.py", "new.py", "old.py"]


def test_a_file_that_takes_the_place_of_another_is_a_change_though_it_looks_the_same(site: Path) -> None:
    files, film = SourceFiles([site]), site / "films.py"
    before, about = files.snapshot(), film.stat()
    (site / "films.new").write_text("two")
    os.utime(site / "films.new", ns=(about.st_atime_ns, about.st_mtime_ns))
    (site / "films.new").replace(film)
    assert changed(before, files.snapshot()) == [str(film)]


# Links.


@pytest.fixture
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "parts").mkdir()
    (elsewhere / "__init__.py").touch()
    (elsewhere / "parts" / "deep.py").touch()
    return elsewhere


def test_directories_that_are_links_are_looked_into_by_their_own_paths(site: Path, elsewhere: Path) -> None:
    (site / "shared").symlink_to(elsewhere)
    (site / "parts").mkdir()
    (site / "parts" / "relative").symlink_to(os.path.relpath(elsewhere / "parts", site / "parts"))
    files = SourceFiles([site])
    inside = {str(elsewhere / "__init__.py"), str(elsewhere / "parts" / "deep.py")}
    assert set(files.snapshot()) == {str(site / "films.py"), *inside}
    assert elsewhere in files.linked
    (site / "shared").unlink()
    assert set(files.snapshot()) == {str(site / "films.py"), str(elsewhere / "parts" / "deep.py")}
    assert files.linked == [elsewhere / "parts"]


def test_a_link_to_a_link_is_followed_to_its_end(site: Path, elsewhere: Path) -> None:
    (site / "b").symlink_to(elsewhere)
    (site / "a").symlink_to("b")
    assert names(SourceFiles([site])) == {"films.py", "__init__.py", "deep.py"}


def test_a_directory_that_is_named_itself_may_be_a_link(site: Path, elsewhere: Path) -> None:
    (site / "shared").symlink_to(elsewhere)
    assert names(SourceFiles([site / "shared"])) == {"__init__.py", "deep.py"}


def test_links_in_a_circle_end(site: Path, elsewhere: Path) -> None:
    (site / "shared").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(site)
    (elsewhere / "parts" / "again").symlink_to(elsewhere)
    (site / "broken").symlink_to("nowhere")
    (site / "itself").symlink_to("itself")
    assert names(SourceFiles([site])) == {"films.py", "__init__.py", "deep.py"}


@pytest.mark.parametrize("above", ["..", "/", "../.."])
def test_a_link_to_what_is_above_is_not_followed(site: Path, above: str) -> None:
    (site.parent / "beside.py").touch()
    (site / "up").symlink_to(above)
    files = SourceFiles([site])
    assert (names(files), files.linked) == ({"films.py"}, [])


@pytest.mark.parametrize("hidden", [".git", "__pycache__", "node_modules", "site-packages"])
@pytest.mark.parametrize("by", ["its name", "the link's name"])
def test_a_link_to_a_directory_of_tools_is_not_followed(site: Path, elsewhere: Path, hidden: str, by: str) -> None:
    if by == "its name":
        (elsewhere / hidden).mkdir()
        (elsewhere / hidden / "other.py").touch()
        (site / "shared").symlink_to(elsewhere / hidden)
    else:
        (site / hidden).symlink_to(elsewhere)
    assert names(SourceFiles([site])) == {"films.py"}


def test_a_link_to_a_virtual_environment_is_not_followed(site: Path, elsewhere: Path) -> None:
    (elsewhere / "pyvenv.cfg").touch()
    (site / "env").symlink_to(elsewhere)
    assert names(SourceFiles([site])) == {"films.py"}


def test_links_lead_to_so_many_directories_and_no_more(
    site: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("microsock.adapters.changes._MOST_LINKED", 50)
    (site / "shared").symlink_to(elsewhere)
    for number in range(40):
        (site / f"own{number}").mkdir()
        (elsewhere / f"more{number}").mkdir()
    files = SourceFiles([site])
    files.snapshot()
    assert not files.overrun
    for number in range(40, 80):
        (elsewhere / f"more{number}").mkdir()
        (elsewhere / f"more{number}" / "a.py").touch()
    assert "films.py" in names(files)
    assert files.overrun


@pytest.fixture
def bell(site: Path) -> Iterator[Doorbell]:
    assert Doorbell.available(), "watchfiles is not installed"
    with closing(Doorbell([site])) as bell:
        yield bell


def test_a_doorbell_rings_when_something_changes(bell: Doorbell, site: Path) -> None:
    # It may still be about to listen, so it gets more than one reason.
    for number in range(100):
        (site / "films.py").write_text(str(number))
        if select.select([bell], [], [], PATIENCE / 100)[0]:
            break
    assert bell.answer()
    while select.select([bell], [], [], 0)[0]:
        bell.answer()


def test_a_doorbell_whose_process_is_gone_says_so(bell: Doorbell) -> None:
    os.kill(bell._pid, 9)
    assert select.select([bell], [], [], PATIENCE)[0]
    assert not bell.answer()
