from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microsock import BadSetting
from microsock.adapters import pidfile
from microsock.adapters.pidfile import Named, pid_file, read_pid_file, why_no_server
from microsock.adapters.processes import MAX_PID, begun


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


@contextmanager
def another(*, serves: bool) -> Iterator[int]:
    """The pid of a process that runs, and listens as a server does or does not."""
    code = "import socket\nfrom microsock.adapters.mark import Mark\nsock = socket.create_server(('127.0.0.1', 0))\n"
    code += "mark = Mark(sock)\n" if serves else ""
    command = [sys.executable, "-c", code + "print(flush=True)\ninput()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.kill()


@pytest.mark.parametrize("began", ["", "right"])
def test_that_of_a_server_that_runs_is_refused_and_kept(began: str, tmp_path: Path) -> None:
    path = tmp_path / "shop.pid"
    with another(serves=True) as pid:
        text = f"{pid}\n{begun(pid) if began else ''}"
        path.write_text(text)
        with pytest.raises(BadSetting, match=rf"belongs to pid {pid}, which still runs; stop it"), pid_file(str(path)):
            pytest.fail("entered")
    assert path.read_text() == text


@pytest.mark.parametrize("began", ["", "right"])
def test_that_of_another_program_is_refused_and_kept_and_the_reason_says_so(began: str, tmp_path: Path) -> None:
    path = tmp_path / "shop.pid"
    with another(serves=False) as pid:
        text = f"{pid}\n{begun(pid) if began else ''}"
        path.write_text(text)
        reason = rf"belongs to pid {pid}, which still runs, but pid {pid} \(.*python.*\) is no microsock server; remove"
        with pytest.raises(BadSetting, match=reason), pid_file(str(path)):
            pytest.fail("entered")
    assert path.read_text() == text


def test_that_of_the_machines_first_process_is_refused_and_the_reason_says_so(tmp_path: Path) -> None:
    path = tmp_path / "shop.pid"
    path.write_text(f"1\n{begun(1)}\n")
    with pytest.raises(BadSetting, match=r"pid 1 \(.*\) is no microsock server; remove the file"), pid_file(str(path)):
        pytest.fail("entered")


def test_one_that_another_user_has_written_names_no_server_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "shop.pid"
    with another(serves=True) as pid:
        path.write_text(f"{pid}\n{begun(pid)}\n")
        named = read_pid_file(str(path))
        assert named is not None
        assert why_no_server(str(path), named) == ""
        real = os.fstat
        monkeypatch.setattr(os, "fstat", lambda fd: os.stat_result([*real(fd)[:4], 12345, *real(fd)[5:]]))
        user = os.geteuid()
        assert why_no_server(str(path), named) == f"the file is user id 12345's, and pid {pid} user id {user}'s"
        # A server of that user may be named by it: root stops it.
        monkeypatch.setattr(pidfile, "owner_of", lambda pid: 12345)
        assert why_no_server(str(path), named) == ""


def test_where_its_descriptors_are_not_to_be_seen_its_beginning_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pidfile, "is_server", lambda pid: None)
    path = tmp_path / "shop.pid"
    path.touch()
    assert why_no_server(str(path), ours()) == ""
    assert "is no microsock server" in why_no_server(str(path), ours()._replace(began=0))
    monkeypatch.setattr(pidfile, "begun", lambda pid: 0)  # no /proc at all
    assert why_no_server(str(path), ours()._replace(began=0)) == ""


@pytest.mark.parametrize("kind", ["pipe", "directory", "device", "huge", "dangling link"])
def test_what_is_no_file_of_two_numbers_says_nothing_and_holds_nobody(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "shop.pid"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "huge":
        path.write_bytes(b"1" * (1 << 20))
    else:
        path.symlink_to("/dev/zero" if kind == "device" else "nowhere")
    assert read_pid_file(str(path)) is None


@given(st.binary() | st.text("0123456789 \n-+_.x").map(str.encode))
def test_whatever_it_says_is_a_process_that_can_be_or_none(text: bytes) -> None:
    named = pidfile._parsed(text)
    if named is not None:
        assert 1 <= named.pid <= MAX_PID
        assert named.runs in (True, False)


def test_nobody_else_may_write_to_it_whatever_the_mask_is(tmp_path: Path) -> None:
    path = tmp_path / "shop.pid"
    before = os.umask(0)
    try:
        with pid_file(str(path)):
            assert path.stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(before)


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
