from __future__ import annotations

import pytest

from microsock import HTTPError
from microsock.protocol.handshake import accept_lines, check_handshake, is_websocket_upgrade, offered_subprotocols
from microsock.request import Request

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ORDINARY = {
    b"connection": [b"Upgrade"],
    b"upgrade": [b"websocket"],
    b"sec-websocket-version": [b"13"],
    b"sec-websocket-key": [KEY],
}


def handshake(
    changes: dict[bytes, list[bytes]] | None = None, *, method: str = "GET", body: bytes = b"", version: str = "1.1"
) -> Request:
    fields = ORDINARY | (changes or {})
    lines = [(name, value) for name, values in fields.items() for value in values]
    return Request(method, "/", lines, body=body, http_version=version)


def status(request: Request) -> int:
    with pytest.raises(HTTPError) as caught:
        check_handshake(request)
    return caught.value.status


def test_an_ordinary_handshake_passes() -> None:
    check_handshake(handshake())


@pytest.mark.parametrize(
    "changes",
    [
        {b"connection": [b"keep-alive", b"Upgrade"]},
        {b"connection": [b"keep-alive, UPGRADE"]},
        {b"upgrade": [b"WebSocket"]},
        {b"upgrade": [b"h2c, websocket"]},
        {b"upgrade": [b"h2c", b"websocket"]},
        {b"sec-websocket-extensions": [b"permessage-deflate; client_max_window_bits=abc"]},
        {b"sec-websocket-extensions": [b"\xff;;,"]},
    ],
)
def test_several_lines_and_any_case_are_one_list(changes: dict[bytes, list[bytes]]) -> None:
    request = handshake(changes)
    assert is_websocket_upgrade(request)
    check_handshake(request)


@pytest.mark.parametrize("upgrade", [[], [b"h2c"], [b"websocket2"], [b"websocket/13"]])
def test_a_request_for_another_protocol_is_no_handshake(upgrade: list[bytes]) -> None:
    assert not is_websocket_upgrade(handshake({b"upgrade": upgrade}))


def test_http_1_0_cannot_ask_for_an_upgrade() -> None:
    assert not is_websocket_upgrade(handshake(version="1.0"))


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (handshake(method="POST"), 400),
        (handshake(body=b"x"), 400),
        (handshake({b"connection": []}), 400),
        (handshake({b"connection": [b"keep-alive"]}), 400),
        (handshake({b"sec-websocket-version": []}), 426),
        (handshake({b"sec-websocket-version": [b"8"]}), 426),
        (handshake({b"sec-websocket-version": [b"13", b"13"]}), 426),
        (handshake({b"sec-websocket-key": []}), 400),
        (handshake({b"sec-websocket-key": [KEY, KEY]}), 400),
        (handshake({b"sec-websocket-key": [b""]}), 400),
        (handshake({b"sec-websocket-key": [b"AAAAAAAAAAAAAAAAAAAA"]}), 400),
        (handshake({b"sec-websocket-key": [b"AAAAAAAAAAAAAAAAAAAAAAAA"]}), 400),
        (handshake({b"sec-websocket-key": [b"*GhlIHNhbXBsZSBub25jZQ=="]}), 400),
        (handshake({b"sec-websocket-key": [b"\xffGhlIHNhbXBsZSBub25jZQ=="]}), 400),
        (handshake({b"sec-websocket-protocol": [b"a, b c"]}), 400),
        (handshake({b"sec-websocket-protocol": [b"\xe4"]}), 400),
    ],
)
def test_a_malformed_handshake_is_refused(request_: Request, expected: int) -> None:
    assert status(request_) == expected


def test_a_refused_version_names_the_one_that_is_spoken() -> None:
    with pytest.raises(HTTPError) as caught:
        check_handshake(handshake({b"sec-websocket-version": [b"8"]}))
    assert ("Sec-WebSocket-Version", "13") in caught.value.headers
    assert ("Upgrade", "websocket") in caught.value.headers


def test_subprotocols_come_in_the_clients_order() -> None:
    offered = handshake({b"sec-websocket-protocol": [b"v2.chat, chat", b",,\tlast"]})
    assert offered_subprotocols(offered) == ["v2.chat", "chat", "last"]
    assert offered_subprotocols(handshake()) == []


def test_the_answer_has_the_key_of_the_rfcs_example() -> None:
    # RFC 6455 section 1.3.
    assert accept_lines(handshake(), None) == [
        (b"Upgrade", b"websocket"),
        (b"Connection", b"Upgrade"),
        (b"Sec-WebSocket-Accept", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ]


def test_the_answer_names_the_subprotocol() -> None:
    assert accept_lines(handshake(), "chat")[-1] == (b"Sec-WebSocket-Protocol", b"chat")
