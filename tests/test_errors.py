"""The errors: what they carry and whose fault they are."""

from __future__ import annotations

import pytest

from microsock.errors import (
    BindError,
    HTTPError,
    MicrosockError,
    PortInUseError,
    RemoteProtocolError,
    SetupError,
    WebSocketClosed,
    reason_phrase,
)


@pytest.mark.parametrize(
    ("status", "type"),
    [
        (400, "BAD_REQUEST"),
        (404, "NOT_FOUND"),
        (405, "METHOD_NOT_ALLOWED"),
        (408, "TIMEOUT"),
        (413, "TOO_LARGE"),
        (414, "TOO_LARGE"),
        (418, "BAD_REQUEST"),
        (429, "REQUEST_LIMIT"),
        (431, "TOO_LARGE"),
        (500, "SERVER_ERROR"),
        (503, "SERVER_ERROR"),
    ],
)
def test_an_http_error_has_a_type_by_its_status(status: int, type: str) -> None:
    assert HTTPError(status).type == type


def test_an_http_error_has_the_phrase_of_its_status_as_message() -> None:
    error = HTTPError(404)
    assert (error.status, error.message, error.headers, str(error)) == (404, "Not Found", [], "404 Not Found")


def test_an_http_error_carries_what_it_was_given() -> None:
    error = HTTPError(400, "no key", type="INVALID_WS_KEY", headers=(("A", "1"), ("A", "2")))
    assert (error.message, error.type, error.headers) == ("no key", "INVALID_WS_KEY", [("A", "1"), ("A", "2")])
    assert str(error) == "400 no key"


@pytest.mark.parametrize("status", [0, 200, 399, 600])
def test_an_http_error_is_a_client_or_server_error(status: int) -> None:
    with pytest.raises(ValueError) as caught:
        HTTPError(status)
    assert str(caught.value) == f"an HTTPError has a status from 400 to 599, not {status}"


@pytest.mark.parametrize(
    ("status", "phrase"),
    [
        (200, "OK"),
        (413, "Content Too Large"),
        (414, "URI Too Long"),
        (422, "Unprocessable Content"),
        (431, "Request Header Fields Too Large"),
        (299, "Unknown"),
    ],
)
def test_a_status_has_the_phrase_that_is_registered_for_it(status: int, phrase: str) -> None:
    assert reason_phrase(status) == phrase


def test_a_closed_websocket_tells_how_it_ended() -> None:
    error = WebSocketClosed(1001, "going away", by_peer=False)
    assert (error.code, error.reason, error.by_peer, str(error)) == (1001, "going away", False, "1001 going away")
    assert str(WebSocketClosed(1006)) == "1006"
    assert WebSocketClosed(1006).by_peer


def test_a_peers_mistake_says_how_it_is_refused() -> None:
    assert RemoteProtocolError("bad").status == 400
    assert RemoteProtocolError("too long", 431).status == 431


def test_what_cannot_be_bound_is_an_os_error_too() -> None:
    assert issubclass(PortInUseError, BindError)
    assert issubclass(BindError, OSError)
    assert issubclass(BindError, MicrosockError)
    assert not issubclass(BindError, SetupError)
