"""README and docs say what is true: their snippets run, their tables are current, their links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pages import PAGES, snippets
from running import ROOT
from settings_table import page_with_table

from microsock.cli import main
from microsock.settings import SETTINGS

_LINK = re.compile(r"\]\((?!https?:)([^)#]*)(#[^)]*)?\)")


def names(pages: list[Path]) -> list[str]:
    return [page.name for page in pages]


def test_the_snippets_of_the_pages_run_and_their_tests_pass(tmp_path: Path) -> None:
    for page in PAGES:
        (tmp_path / f"test_{page.stem.replace('-', '_')}.py").write_text(snippets(page))
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list(tmp_path.glob("test_*.py"))) == len(PAGES)


def test_the_table_of_settings_is_current() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    assert page == page_with_table(page), "run `python tests/settings_table.py`"


def test_the_page_on_limits_names_settings_that_exist() -> None:
    page = (ROOT / "docs" / "limits-and-deadlines.md").read_text()
    named = {name for row in re.findall(r"^\| (`.*?) \|", page, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    assert named
    assert named <= SETTINGS.keys()


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    dead = [target for target, _ in _LINK.findall(page.read_text()) if target and not (page.parent / target).exists()]
    assert not dead


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_links_to_a_heading_name_one_that_the_page_has(page: Path) -> None:
    linked = [(target or page.name, anchor[1:]) for target, anchor in _LINK.findall(page.read_text()) if anchor]
    dead = [f"{target}#{anchor}" for target, anchor in linked if anchor not in headings(page.parent / target)]
    assert not dead


def headings(page: Path) -> set[str]:
    """The names of a page's headings, as GitHub makes them."""
    found = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def test_there_is_one_command_that_runs_the_tests() -> None:
    """`.ci/run` takes it from the README."""
    commands = [line for line in (ROOT / "README.md").read_text().splitlines() if ".[test]" in line]
    assert len(commands) == 1
    assert commands[0].endswith("coverage report")


def test_the_page_on_the_command_names_every_flag_and_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    offered = flags(capsys.readouterr().out)
    assert flags((ROOT / "docs" / "cli.md").read_text()) == offered


def flags(text: str) -> set[str]:
    """The long flags in a text; `--no-x` counts as `--x`."""
    return {f"--{name.removeprefix('no-')}" for name in re.findall(r"--([a-z][a-z-]+)", text)}
