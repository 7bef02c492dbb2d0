"""The link at the place of a port."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from microsock.adapters.control_link import ControlLink
from microsock.adapters.control_path import path_of_port


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's own directory; with a short name, since the name of a socket has to be."""
    with TemporaryDirectory() as name:
        monkeypatch.setenv("XDG_RUNTIME_DIR", name)
        yield Path(name)


@pytest.fixture
def listening(folder: Path) -> Iterator[Path]:
    path = folder / "shop.sock"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()
        yield path


def place() -> Path:
    return Path(path_of_port(8080))


def test_it_leads_to_the_socket_until_it_is_closed(listening: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(listening.parent)
    link = ControlLink(listening.name, 8080)
    assert place().readlink() == listening
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(place()))
    link.close()
    link.close()
    assert not os.path.lexists(place())
    assert sorted(path.name for path in listening.parent.iterdir()) == ["shop.sock"]


def test_a_server_that_lies_there_itself_needs_none(folder: Path) -> None:
    ControlLink(str(place()), 8080)
    assert not os.path.lexists(place())


@pytest.mark.parametrize("what", ["a link to nowhere", "a socket of a dead server", "a link to that"])
def test_what_a_dead_server_has_left_is_replaced(listening: Path, what: str) -> None:
    if what == "a link to nowhere":
        place().symlink_to("nowhere")
    else:
        dead = place() if what == "a socket of a dead server" else listening.parent / "dead.sock"
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(dead))
        if dead != place():
            place().symlink_to(dead)
    ControlLink(str(listening), 8080)
    assert place().readlink() == listening


def test_where_another_server_answers_it_stays(listening: Path) -> None:
    place().symlink_to(listening)
    link = ControlLink(str(listening.parent / "other.sock"), 8080)
    assert place().readlink() == listening
    link.close()
    assert place().readlink() == listening


def test_a_file_that_is_no_socket_stays(listening: Path) -> None:
    place().mkdir()
    ControlLink(str(listening), 8080)
    assert place().is_dir()


def test_one_that_another_server_has_taken_over_stays(listening: Path) -> None:
    link = ControlLink(str(listening), 8080)
    place().unlink()
    place().symlink_to("other")
    link.close()
    assert os.path.lexists(place())


def test_a_forked_process_leaves_it(listening: Path) -> None:
    link = ControlLink(str(listening), 8080)
    link._pid = 1
    link.close()
    assert os.path.lexists(place())


def test_where_it_cannot_be_made_there_is_none(listening: Path) -> None:
    listening.parent.chmod(0o755)  # not this user's alone
    ControlLink(str(listening), 1).close()
