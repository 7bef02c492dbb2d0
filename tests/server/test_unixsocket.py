from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from microsock.errors import BindError, PortInUseError
from microsock.server import unixsocket
from microsock.server.unixsocket import Claim, bind_unix

pytestmark = pytest.mark.server


@contextmanager
def bound(path: Path, mode: int | None = None) -> Iterator[Claim]:
    sock, claim = bind_unix(str(path), mode, 16)
    with sock:
        yield claim


def answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "app.sock"


def stale(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()


def test_it_listens_and_removes_its_path_at_the_end(path: Path) -> None:
    with bound(path) as claim:
        assert answers(path)
        claim.remove()
    assert not path.exists()


def test_a_stale_socket_on_which_nobody_answers_is_replaced(path: Path) -> None:
    stale(path)
    assert path.is_socket()
    with bound(path):
        assert answers(path)


def test_a_socket_on_which_somebody_answers_is_left_alone(path: Path) -> None:
    with bound(path):
        with pytest.raises(PortInUseError, match=f"unix:{path} is in use") as refused:
            bind_unix(str(path), None, 16)
        assert refused.value.errno == errno.EADDRINUSE
        assert answers(path)


def test_a_server_whose_backlog_is_full_lives(path: Path) -> None:
    sock, _ = bind_unix(str(path), None, 0)
    with sock, ExitStack() as clients:
        for _ in range(3):
            client = clients.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            client.connect_ex(str(path))
        with pytest.raises(PortInUseError):
            bind_unix(str(path), None, 16)


def test_a_file_that_is_no_socket_is_never_removed(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(BindError, match="there is a file that is no socket"):
        bind_unix(str(path), None, 16)
    assert path.read_text() == "precious"


def test_a_link_to_a_socket_is_no_socket(path: Path, tmp_path: Path) -> None:
    with bound(tmp_path / "other.sock"):
        path.symlink_to(tmp_path / "other.sock")
        with pytest.raises(BindError, match="no socket"):
            bind_unix(str(path), None, 16)
        assert path.is_symlink()


def test_the_permissions_are_those_of_the_address(path: Path) -> None:
    with bound(path, 0o660):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660


def test_without_them_the_umask_decides(path: Path) -> None:
    before = os.umask(0o027)
    try:
        with bound(path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o750
    finally:
        os.umask(before)


def test_what_somebody_else_has_put_there_meanwhile_stays(path: Path) -> None:
    with bound(path) as claim:
        path.unlink()
        with bound(path):
            claim.remove()
            assert answers(path)


def test_removing_twice_does_no_harm(path: Path) -> None:
    with bound(path) as claim:
        claim.remove()
        claim.remove()


def test_a_forked_worker_does_not_remove_its_parents_path(path: Path) -> None:
    with bound(path) as claim:
        claim._replace(pid=claim.pid + 1).remove()
        assert answers(path)


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(BindError, match=r"cannot listen on unix:.*/nosuch/a.sock: No such file or directory"):
        bind_unix(str(tmp_path / "nosuch" / "a.sock"), None, 16)


def test_a_bind_that_fails_leaves_no_path(path: Path) -> None:
    with pytest.raises(OverflowError):
        bind_unix(str(path), None, 1 << 40)
    assert not path.exists()


def test_who_holds_the_folder_for_long_cannot_keep_us_from_starting(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unixsocket, "_LOCK_SECONDS", 0.05)
    folder = os.open(path.parent, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    with bound(path):
        assert answers(path)
    os.close(folder)
