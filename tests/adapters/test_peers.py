"""Who is at the other end of a Unix socket."""

from __future__ import annotations

import os
import socket
import struct
import sys
from typing import cast

import pytest

from microsock.adapters.peers import Peer, peer_of

pytestmark = pytest.mark.server


def test_the_kernel_says_who_it_is() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert peer_of(one) == Peer(os.getpid(), os.geteuid())


@pytest.mark.parametrize(("user", "trusted"), [(0, True), (1000, True), (1001, False), (65534, False), (4e9, False)])
def test_the_own_user_and_root_are_trusted(user: int, trusted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert Peer(7, int(user)).is_trusted is trusted


class Sock:
    """One whose options are those of another system."""

    def __init__(self, options: dict[tuple[int, int], bytes]) -> None:
        self.options = options

    def getsockopt(self, level: int, name: int, size: int) -> bytes:
        return self.options[level, name][:size]


@pytest.mark.parametrize(("system", "pid"), [("darwin", 77), ("freebsd14", 0)])
def test_other_systems_say_it_in_their_own_words(system: str, pid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", system)
    sock = Sock({(0, 1): struct.pack("=IIh", 0, 501, 1) + bytes(66), (0, 2): struct.pack("=i", 77)})
    assert peer_of(cast(socket.socket, sock)) == Peer(pid, 501)


def test_a_system_that_does_not_say_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "sunos5")
    assert peer_of(cast(socket.socket, Sock({}))) is None


def test_a_process_in_another_pid_namespace_has_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    sock = Sock({(socket.SOL_SOCKET, socket.SO_PEERCRED): struct.pack("=iII", 0, 4_000_000_000, 0)})
    assert peer_of(cast(socket.socket, sock)) == Peer(0, 4_000_000_000)
