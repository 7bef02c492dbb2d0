"""One worker in this process, whose parent is the test."""

from __future__ import annotations

import os
import signal
import socket

import pytest

from microsock import App, Client
from microsock.adapters.channel import framed
from microsock.runners import words
from microsock.runners.forking import Seat
from microsock.runners.worker import Life, _Worker
from microsock.server.parts import Parts
from microsock.settings import Settings

pytestmark = pytest.mark.server


@pytest.mark.parametrize(
    ("said", "disconnected"),
    [([words.LEAVE], []), ([], ["somebody"]), ([words.STOP], ["somebody"]), ([words.LEAVE, words.STOP], [])],
)
def test_a_signal_ends_the_server_for_its_clients_unless_the_parent_has_said_that_others_go_on(
    said: list[bytes], disconnected: list[str]
) -> None:
    app, gone = App(), list[str]()
    ours, theirs = socket.socketpair()

    @app.disconnect
    def forget(client: Client) -> None:
        gone.append(client.key)

    def told() -> None:
        for word in said:
            ours.sendall(framed(word))
        os.kill(os.getpid(), signal.SIGTERM)

    app.clients.on("somebody")
    app.on_start(lambda: app.after(0.0, told))
    with ours:
        worker = _Worker(app, Settings(access_log=False), [], [], Parts(), Life("birth", 0.0), Seat(1, 1, theirs))
        assert worker.run(repr) == 0
    assert gone == disconnected
