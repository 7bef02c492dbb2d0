from __future__ import annotations

import os
from pathlib import Path

import pytest

from microsock import BadSetting
from microsock.adapters.pidfile import Named, pid_file, read_pid_file
from microsock.adapters.processes import begun


def ours() -> Named:
    return Named(os.getpid(), begun(os.getpid()))


def test_it_names_this_process_while_it_serves(tmp_path: Path) -> None:
    path = tmp_path / "shop.pid"
    with pid_file(str(path)):
        assert path.read_text().splitlines()[0] == str(os.getpid())
        found = read_pid_file(str(path))
        assert found == ours()
        assert found.runs
    assert list(tmp_path.iterdir()) == []


def test_without_a_path_there_is_none() -> None:
    with pid_file(None):
        pass


@pytest.mark.parametrize("text", ["", "nonsense", "999999999 7", "0", "-1", "1 1", "9" * 5000, "\0"])
def test_one_that_was_left_behind_is_replaced(text: str, tmp_path: Path) -> None:
    path = tmp_path / "shop.pid"
    path.write_text(text)
    with pid_file(str(path)):
        assert read_pid_file(str(path)) == ours()
    assert not path.exists()


def test_a_later_process_with_the_same_number_is_not_taken_for_it(tmp_path: Path) -> None:
    path = tmp_path / "shop.pid"
    path.write_text(f"{os.getppid()}\n{begun(os.getppid()) + 1}\n")
    found = read_pid_file(str(path))
    assert found is not None
    assert not found.runs
    with pid_file(str(path)):
        assert read_pid_file(str(path)) == ours()


@pytest.mark.parametrize("began", ["", "right"])
def test_that_of_a_server_that_runs_is_refused_and_kept(began: str, tmp_path: Path) -> None:
    path = tmp_path / "shop.pid"
    text = f"{os.getppid()}\n{begun(os.getppid()) if began else ''}"
    path.write_text(text)
    with pytest.raises(BadSetting, match=rf"belongs to pid {os.getppid()}, which still runs"), pid_file(str(path)):
        pytest.fail("entered")
    assert path.read_text() == text


def test_one_that_another_has_written_meanwhile_stays(tmp_path: Path) -> None:
    path = tmp_path / "shop.pid"
    with pid_file(str(path)):
        path.write_text("1\n")
    assert path.read_text() == "1\n"


def test_one_that_is_gone_already_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "shop.pid"
    with pid_file(str(path)):
        path.unlink()


def test_a_link_in_its_place_is_replaced_and_not_followed(tmp_path: Path) -> None:
    path, precious = tmp_path / "shop.pid", tmp_path / "precious"
    precious.write_text("precious")
    path.symlink_to(precious)
    with pid_file(str(path)):
        assert not path.is_symlink()
    assert precious.read_text() == "precious"


def test_where_it_cannot_be_written_the_reason_is_given(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=r"cannot write pid_file .*No such file"), pid_file(str(tmp_path / "no" / "x")):
        pytest.fail("entered")


def test_a_forked_worker_that_leaves_the_block_leaves_the_file(tmp_path: Path) -> None:
    path = tmp_path / "shop.pid"
    block = pid_file(str(path))
    block.__enter__()
    child = os.fork()
    if child == 0:
        block.__exit__(None, None, None)
        os._exit(0 if path.exists() else 1)
    assert os.waitpid(child, 0)[1] == 0
    block.__exit__(None, None, None)
    assert not path.exists()
