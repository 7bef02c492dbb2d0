"""A connection that we have ended waits a moment for its peer, and then goes quietly."""

from __future__ import annotations

import pytest

from microsock import App


@pytest.fixture
def app() -> App:
    app = App()
    app.ping()
    return app


def test_an_idle_client_that_does_not_hang_up_is_closed_without_a_word(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    with app.test_client(keep_alive_timeout=5) as client:
        connection = client.raw_connection()
        connection.send(b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.receive().endswith(b"PONG")
        client.advance(5)
        assert connection.receive() == b""
        assert (connection.ended, connection.closed) == (True, False)
        client.advance(1)
        assert connection.closed
    assert not caplog.records
