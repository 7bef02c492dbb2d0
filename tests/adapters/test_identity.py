"""Who is known for a microsock server: whoever serves a socket itself, and nobody else."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from microsock.adapters import identity
from microsock.adapters.identity import is_server, sockets_served
from microsock.adapters.mark import Mark
from microsock.adapters.processes import handle_of, is_alive

pytestmark = pytest.mark.server


@pytest.fixture
def sock() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def inode(sock: socket.socket) -> str:
    return str(os.fstat(sock.fileno()).st_ino)


def in_a_child(call: Callable[[], bool]) -> bool:
    """What a forked child says of itself."""
    child = os.fork()
    if not child:
        os._exit(call())
    return bool(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def test_a_process_is_a_server_while_it_has_a_marked_socket_open(sock: socket.socket) -> None:
    with sock:
        before = sockets_served(os.getpid())
        assert before is not None
        assert inode(sock) not in before
        mark, number = Mark(sock), inode(sock)
        assert sockets_served(os.getpid()) == before | {number}
    assert sockets_served(os.getpid()) == before
    mark.close()
    mark.close()


def test_the_mark_goes_when_nobody_holds_it_any_more(sock: socket.socket) -> None:
    before = os.listdir("/proc/self/fd")  # noqa: PTH208
    with sock:
        Mark(sock)
        assert len(os.listdir("/proc/self/fd")) == len(before)  # noqa: PTH208


def test_a_forked_child_is_none_until_it_serves_the_socket_itself(sock: socket.socket) -> None:
    with sock:
        mark = Mark(sock)
        number = inode(sock)
        assert not in_a_child(lambda: number in (sockets_served(os.getpid()) or ()))

        def serves() -> bool:
            mark.renew(sock)
            return number in (sockets_served(os.getpid()) or ())

        assert in_a_child(serves)

        def has_closed_it() -> bool:
            mark.renew(sock)
            sock.close()
            return number in (sockets_served(os.getpid()) or ())

        assert not in_a_child(has_closed_it)
        assert number in (sockets_served(os.getpid()) or ())
        mark.close()


def test_where_descriptors_are_not_to_be_seen_nothing_is_known() -> None:
    assert is_server(1 << 30) is None


@pytest.mark.parametrize(
    ("links", "status", "served"),
    [
        (["/memfd:microsock-server:5:7 (deleted)", "socket:[5]"], "", {"5"}),
        (["/memfd:microsock-server:5:7 (deleted)", "socket:[6]"], "", set()),
        (["/memfd:microsock-server:5:8 (deleted)", "socket:[5]"], "", set()),
        (["/memfd:microsock-server:5:1 (deleted)", "socket:[5]"], "NSpid:\t7\t1\n", {"5"}),
        (["/memfd:microsock-server:5:1 (deleted)", "socket:[5]"], "NSpid:\t7\n", set()),
        (["/memfd:microsock-server (deleted)", "socket:[5]"], "", set()),
        (["/tmp/memfd:microsock-server:5:7 (deleted)", "socket:[5]"], "", set()),
        (["/memfd:microsock-server:5:7", "/tmp/socket:[5]"], "", set()),
    ],
)
def test_only_a_mark_of_the_processs_own_for_a_socket_it_has_counts(
    links: list[str], status: str, served: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "7" / "fd").mkdir(parents=True)
    (tmp_path / "7" / "status").write_text(f"Name:\tpython\n{status}")
    for number, link in enumerate(links):
        (tmp_path / "7" / "fd" / str(number)).symlink_to(link)
    monkeypatch.setattr(identity, "_PROC", tmp_path)
    assert sockets_served(7) == frozenset(served)


# No number below 2 is ever signalled.


@pytest.mark.parametrize("pid", [0, -1, -7, 1 << 31, 1 << 80])
def test_what_is_no_process_has_no_handle_and_does_not_live(pid: int) -> None:
    assert not is_alive(pid)
    with handle_of(pid) as handle:
        assert handle is None


def test_the_first_process_is_never_signalled(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[object] = []
    monkeypatch.setattr(os, "kill", lambda *what: sent.append(what))
    monkeypatch.setattr("signal.pidfd_send_signal", lambda *what: sent.append(what))
    with handle_of(1) as handle:
        assert handle is not None
        sent.clear()
        with pytest.raises(PermissionError, match="pid 1 is never signalled"):
            handle.send(15)
    assert sent == []
