"""The WebSocket handshake over raw bytes, and the frames around it (RFC 6455 sections 4 and 5)."""

from __future__ import annotations

from collections.abc import Sequence

from .answers import Answer
from .case import ANY, SILENCE, Case, Check, ask, must, refuse
from .checks import field, lacks
from .frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Frame, close, frame, read_frames

__all__ = ["CASES"]

_KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
_ACCEPT = field("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
_VERSION = b"Sec-WebSocket-Version: 13"
_UPGRADE = b"Upgrade: websocket"
_CONNECTION = b"Connection: Upgrade"


def _open(
    *more: bytes, path: bytes = b"/ws", line: bytes = b"", host: bytes = b"Host: a\r\n", key: bytes = _KEY,
    version: bytes = _VERSION, upgrade: bytes = _UPGRADE, connection: bytes = _CONNECTION, then: bytes = b"",
) -> bytes:  # fmt: skip
    """A handshake; each line can be replaced, or left out by giving it empty."""
    lines = [item for item in (connection, upgrade, version, key, *more) if item]
    return ask(line or b"GET " + path + b" HTTP/1.1", *lines, host=host, body=then)


def _sends(*frames: Frame) -> Check:
    """Behind the 101 the server sends exactly these frames; of a Close only the code counts."""

    def check(answers: Sequence[Answer]) -> str:
        got = read_frames(answers[-1].tail)
        same = [(item.opcode, item.code if item.opcode == CLOSE else item.payload) for item in got]
        wanted = [(item.opcode, item.code if item.opcode == CLOSE else item.payload) for item in frames]
        return "" if same == wanted else f"frames {same}, not {wanted}"

    return check


def _closed(*codes: int) -> Check:
    """The last frame behind the 101 is a Close with one of these codes."""

    def check(answers: Sequence[Answer]) -> str:
        got = read_frames(answers[-1].tail)
        right = got and got[-1].opcode == CLOSE and got[-1].code in codes
        return "" if right else f"frames {got[-3:]}, not a Close of {codes}"

    return check


def _chooses(*names: str) -> Check:
    """Just one subprotocol is chosen, and it is one of these."""

    def check(answers: Sequence[Answer]) -> str:
        got = answers[0].all("sec-websocket-protocol")
        return "" if len(got) == 1 and got[0] in names else f"subprotocol {got}, not one of {names}"

    return check


def _upgrades(name: str, raw: bytes, *checks: Check, section: str = "6455 4.2.2") -> Case:
    ping, pong = frame(PING, b"alive"), Frame(PONG, b"alive")
    return must(section, name, raw + ping, 101, closes=ANY, checks=[_ACCEPT, _sends(pong), *checks])


_GOOD: list[Case] = [
    _upgrades("A handshake is answered 101",
        _open(), field("upgrade", "websocket"), field("connection", "Upgrade"),
        lacks("content-length", "transfer-encoding", "sec-websocket-protocol", "sec-websocket-extensions")),
    _upgrades("A handshake with an absolute form is answered 101", _open(line=b"GET http://a/ws HTTP/1.1")),
    _upgrades("The tokens of a handshake are case-insensitive",
        _open(connection=b"connection: UPGRADE", upgrade=b"UPGRADE: WebSocket")),
    _upgrades("Upgrade is found among other connection options, as Firefox sends it",
        _open(connection=b"Connection: keep-alive, Upgrade"), section="9110 7.6.1"),
    _upgrades("Upgrade is found on a second Connection line",
        _open(b"Connection: Upgrade", connection=b"Connection: keep-alive"), section="9110 7.6.1"),
    _upgrades("Upgrade is found among empty members",
        _open(connection=b"Connection: , Upgrade ,"), section="9110 5.6.1"),
    _upgrades("A browser's headers do no harm",
        _open(
            b"Origin: http://a", b"Cookie: a=1", b"Pragma: no-cache", b"Accept-Encoding: gzip, deflate, br",
            b"User-Agent: Mozilla/5.0",
        )),
    _upgrades("An origin of our own host is let in", _open(b"Origin: http://a"), section="6455 10.2"),
    _upgrades("An origin of our own host and port is let in",
        _open(b"Origin: http://a:8000", host=b"Host: a:8000\r\n"), section="6455 10.2"),
    _upgrades("A client without an origin is let in", _open(), section="6455 10.2"),
    _upgrades("An origin on the list is let in",
        _open(b"Origin: https://friend.example", path=b"/ws/listed"), section="6455 10.2"),
    _upgrades("The one subprotocol that both know is chosen",
        _open(b"Sec-WebSocket-Protocol: superchat, v2.chat, x"), field("sec-websocket-protocol", "v2.chat"),
        section="6455 4.2.2"),
    _upgrades("One subprotocol is chosen where both know several",
        _open(b"Sec-WebSocket-Protocol: v2.chat, chat"), _chooses("chat", "v2.chat"), section="6455 4.2.2"),
    _upgrades("Subprotocols on several lines are one list",
        _open(b"Sec-WebSocket-Protocol: superchat", b"Sec-WebSocket-Protocol: chat"),
        field("sec-websocket-protocol", "chat"), section="6455 11.3.4"),
    _upgrades("Unknown subprotocols alone choose none",
        _open(b"Sec-WebSocket-Protocol: superchat"), lacks("sec-websocket-protocol")),
    _upgrades("A subprotocol is case-sensitive",
        _open(b"Sec-WebSocket-Protocol: CHAT"), lacks("sec-websocket-protocol"), section="6455 11.5"),
    _upgrades("An unknown extension is declined",
        _open(b"Sec-WebSocket-Extensions: x-unknown; a=b"), lacks("sec-websocket-extensions"), section="6455 9.1"),
    _upgrades("Compression is declined where it is off",
        _open(b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"),
        lacks("sec-websocket-extensions"), section="7692 5"),
]  # fmt: skip

# Not 101, and the connection may go either way.
_NOT = {400, 404, 405, 426, 501}
_PLAIN = {200, 400, 426}

_BAD: list[Case] = [
    must("6455 4.2.1", "A handshake without a key is refused", _open(key=b""), 400, closes=ANY),
    must("6455 4.2.1", "A handshake with an empty key is refused", _open(key=b"Sec-WebSocket-Key:"), 400, closes=ANY),
    must("6455 4.2.1", "A key of 15 bytes is refused",
        _open(key=b"Sec-WebSocket-Key: MTIzNDU2Nzg5MDEyMzQ1"), 400, closes=ANY),
    must("6455 4.2.1", "A key of 17 bytes is refused",
        _open(key=b"Sec-WebSocket-Key: MTIzNDU2Nzg5MDEyMzQ1Njc="), 400, closes=ANY),
    must("6455 4.2.1", "A key that is no base64 is refused",
        _open(key=b"Sec-WebSocket-Key: not*base64!!not*base64!!"), 400, closes=ANY),
    must("6455 4.2.1", "A key without its padding is refused",
        _open(key=b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ"), 400, closes=ANY),
    must("6455 4.2.1", "A key with a space inside is refused",
        _open(key=b"Sec-WebSocket-Key: dGhlIHNhb XBsZSBub25jZQ=="), 400, closes=ANY),
    must("6455 11.3.1", "Two keys are refused", _open(_KEY), 400, closes=ANY),
    must("6455 11.3.1", "Two different keys are refused",
        _open(b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="), 400, closes=ANY),
    must("6455 4.4", "Another version is told which one is spoken",
        _open(version=b"Sec-WebSocket-Version: 12"), 426, closes=ANY, checks=[field("sec-websocket-version", "13")]),
    must("6455 4.4", "A version to come is told which one is spoken",
        _open(version=b"Sec-WebSocket-Version: 99"), 426, closes=ANY, checks=[field("sec-websocket-version", "13")]),
    must("6455 4.4", "A list of versions is no version",
        _open(version=b"Sec-WebSocket-Version: 13, 8"), {400, 426}, closes=ANY),
    must("6455 4.2.1", "A version that is no number is refused",
        _open(version=b"Sec-WebSocket-Version: abc"), {400, 426}, closes=ANY),
    must("6455 4.2.1", "A handshake without a version is refused", _open(version=b""), {400, 426}, closes=ANY),
    must("9110 15.5.22", "A 426 names the protocol it asks for",
        _open(version=b"Sec-WebSocket-Version: 12"), 426, closes=ANY, checks=[field("upgrade", "websocket")]),
    must("6455 4.2.1", "A handshake by POST is refused", _open(line=b"POST /ws HTTP/1.1"), _NOT, closes=ANY),
    must("6455 4.2.1", "A handshake by POST to a plain route is no handshake",
        _open(line=b"POST / HTTP/1.1"), _PLAIN, closes=ANY),
    must("6455 4.2.1", "A handshake of HTTP/1.0 is refused",
        _open(line=b"GET /ws HTTP/1.0"), {400, 426, 505}, closes=True),
    must("9110 7.8", "A handshake of HTTP/1.0 to a plain route is no handshake",
        _open(line=b"GET / HTTP/1.0"), _PLAIN, closes=True),
    must("9110 7.8", "A handshake without its connection option is refused", _open(connection=b""), _NOT, closes=ANY),
    must("9110 7.8", "A handshake with keep-alive for its connection option is refused",
        _open(connection=b"Connection: keep-alive"), _NOT, closes=ANY),
    must("6455 4.2.1", "A handshake without Upgrade is refused", _open(upgrade=b""), _NOT, closes=ANY),
    must("6455 4.2.1", "A handshake to another protocol is refused", _open(upgrade=b"Upgrade: h2c"), _NOT, closes=ANY),
    must("6455 4.2.1", "A protocol that only begins like WebSocket is refused",
        _open(upgrade=b"Upgrade: websockets"), _NOT, closes=ANY),
    must("6455 1.3", "The handshake of an old draft is refused",
        _open(
            b"Sec-WebSocket-Key1: 4 @1  46546xW%0l 1 5", b"Sec-WebSocket-Key2: 12998 5 Y3 1  .P00", key=b"",
            version=b"", then=b"12345678",
        ), _NOT, {400, SILENCE}, closes=ANY),
    must("9110 15.5.22", "A plain GET of a WebSocket's route is no success",
        ask(b"GET /ws HTTP/1.1"), {400, 404, 405, 426}),
    must("6455 4.2.2", "A handshake to what is missing is answered 404", _open(path=b"/missing"), 404),
    must("9110 7.8", "A handshake to a plain route is served as a plain GET", _open(path=b"/"), _PLAIN),
    refuse("9112 3.2", "A handshake without Host is refused", _open(host=b"")),
    refuse("9112 3.2", "A handshake with two Hosts is refused", _open(b"Host: b")),
    refuse("9112 3.2", "A handshake with a Host of bytes above 127 is refused",
        _open(host=b"Host: \xc3\xa4.example\r\n")),
    must("9112 3.2", "A handshake with a Host of broken punycode is answered",
        _open(host=b"Host: xn--a.example\r\n"), {101, 400}, closes=ANY),
    must("6455 4.2.2", "Another origin is forbidden", _open(b"Origin: http://evil.example"), 403, ours=True),
    must("6455 4.2.2", "An origin of our host and another port is forbidden",
        _open(b"Origin: http://a:9999"), 403, ours=True),
    must("6455 4.2.2", "An origin that only begins like our host is forbidden",
        _open(b"Origin: http://a.evil.example"), 403, ours=True),
    must("6455 4.2.2", "The origin null is forbidden", _open(b"Origin: null"), 403, ours=True),
    must("6455 4.2.2", "An origin that is none is forbidden", _open(b"Origin: a"), {400, 403}, closes=ANY, ours=True),
    must("6455 4.2.2", "An origin that a list does not name is forbidden",
        _open(b"Origin: http://friend.example", path=b"/ws/listed"), 403, ours=True),
    must("6455 11.3", "Two origins are refused",
        _open(b"Origin: http://a", b"Origin: http://evil.example"), 400, closes=ANY, ours=True),
    must("6455 4.2.2", "A guard's refusal is the answer, and the connection stays", _open(path=b"/ws/guarded"), 401),
    must("6455 4.1", "A subprotocol that is no token is refused",
        _open(b"Sec-WebSocket-Protocol: ch[at"), 400, closes=ANY, ours=True),
    must("6455 4.1", "A subprotocol of bytes above 127 is refused",
        _open(b"Sec-WebSocket-Protocol: ch\xe4t"), 400, closes=ANY, ours=True),
    must("6455 9.1", "An extension of bytes above 127 is no crash",
        _open(b"Sec-WebSocket-Extensions: d\xe9flate"), {101, 400}, closes=ANY),
    must("6455 9.1", "An extension that is no token is no crash",
        _open(b"Sec-WebSocket-Extensions: ;;=,"), {101, 400}, closes=ANY),
    must("7692 7.1.2.2", "A window size that is no number is no crash",
        _open(b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=abc"), {101, 400}, closes=ANY),
    must("7692 7.1.2.1", "A window size out of range is no crash",
        _open(b"Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=99"), {101, 400}, closes=ANY),
]  # fmt: skip

_HELLO = frame(TEXT, b"hello")
_ECHO = Frame(TEXT, b"hello")


def _talk(
    section: str,
    name: str,
    raw: bytes,
    *checks: Check,
    closes: bool | None = True,
    path: bytes = b"/ws",
    half_close: bool = False,
) -> Case:
    opened = _open(path=path, then=raw)
    return must(section, name, opened, 101, closes=closes, checks=checks, half_close=half_close)


def _fails(section: str, name: str, raw: bytes, *codes: int, path: bytes = b"/ws") -> Case:
    """A message comes first and is echoed; then what is wrong closes with one of the codes."""
    return _talk(section, name, frame(TEXT, b"1") + raw, _closed(*(codes or (1002,))), path=path)


_FRAMES: list[Case] = [
    _talk("6455 4.1", "Frames that come with the handshake are read", _HELLO, _sends(_ECHO), closes=ANY),
    _talk("6455 5.4", "Fragments are joined",
        frame(TEXT, b"hel", final=False) + frame(CONTINUATION, b"lo"), _sends(_ECHO), closes=ANY),
    _talk("6455 5.4", "A ping between fragments is answered at once",
        frame(TEXT, b"hel", final=False) + frame(PING, b"a") + frame(CONTINUATION, b"lo"),
        _sends(Frame(PONG, b"a"), _ECHO), closes=ANY),
    _talk("6455 5.6", "Binary of every byte is kept as it is",
        frame(BINARY, bytes(range(256))), _sends(Frame(BINARY, bytes(range(256)))), closes=ANY),
    _talk("6455 5.2", "A payload of 65,536 bytes is read",
        frame(BINARY, b"x" * 65_536), _sends(Frame(BINARY, b"x" * 65_536)), closes=ANY),
    _talk("6455 5.5.3", "A pong that nobody asked for is ignored",
        frame(PONG, b"a") + _HELLO, _sends(_ECHO), closes=ANY),
    _talk("6455 5.5.1", "A Close is answered with its code", close(1000, b"bye"), _sends(Frame(CLOSE, b"\x03\xe8"))),
    _talk("6455 5.5.1", "A Close without a code is answered", close(None), _closed(1000, 1005)),
    _talk("6455 7.4.2", "A Close with a code of the app's own is answered with it", close(4321), _closed(4321)),
    _talk("6455 5.5.1", "Echoes come before the answer to a Close",
        _HELLO + _HELLO + close(), _sends(_ECHO, _ECHO, Frame(CLOSE, b"\x03\xe8"))),
    _talk("6455 5.5.1", "What comes behind a Close is ignored", close() + _HELLO, _sends(Frame(CLOSE, b"\x03\xe8"))),
    _talk("6455 7.1.7", "Echoes come before the Close for what is wrong",
        _HELLO + frame(TEXT, b"x", reserved=4), _sends(_ECHO, Frame(CLOSE, b"\x03\xea"))),
    _talk("6455 7.1.1", "A client that ends its side without a Close is hung up on", _HELLO, half_close=True),
    _fails("6455 5.1", "A frame without a mask fails the connection", frame(TEXT, b"x", masked=False)),
    _fails("6455 5.2", "The first reserved bit fails the connection", frame(TEXT, b"x", reserved=4)),
    _fails("6455 5.2", "The second reserved bit fails the connection", frame(TEXT, b"x", reserved=2)),
    _fails("6455 5.2", "The third reserved bit fails the connection", frame(PING, b"x", reserved=1)),
    _fails("6455 5.2", "A reserved opcode of data fails the connection", frame(3, b"x")),
    _fails("6455 5.2", "A reserved opcode of control fails the connection", frame(11, b"x")),
    _fails("6455 5.4", "A continuation of nothing fails the connection", frame(CONTINUATION, b"x")),
    _fails("6455 5.4", "A message inside another's fragments fails the connection",
        frame(TEXT, b"a", final=False) + frame(TEXT, b"b")),
    _fails("6455 5.5", "A fragmented ping fails the connection", frame(PING, b"x", final=False)),
    _fails("6455 5.5", "A ping of 126 bytes fails the connection", frame(PING, b"x" * 126)),
    _fails("6455 5.5.1", "A Close of one byte fails the connection", frame(CLOSE, b"\x03")),
    _fails("6455 7.4.1", "A Close with a code that is never sent fails the connection", close(1005)),
    _fails("6455 7.4.1", "A Close with a code below all fails the connection", close(999)),
    _fails("6455 7.4.2", "A Close with a code beyond all fails the connection", close(5000)),
    _fails("6455 5.5.1", "A Close whose reason is no UTF-8 fails the connection", close(1000, b"\xff"), 1002, 1007),
    _fails("6455 8.1", "A text that is no UTF-8 fails the connection", frame(TEXT, b"\xff"), 1007),
    _fails("6455 8.1", "A text of a surrogate fails the connection", frame(TEXT, b"\xed\xa0\x80"), 1007),
    _fails("6455 8.1", "A text that ends inside a character fails the connection", frame(TEXT, b"a\xe2\x82"), 1007),
    _fails("6455 5.2", "A length with its highest bit set fails the connection",
        b"\x82\xff" + b"\xff" * 8 + b"mask", 1002, 1009),
    _fails("6455 10.4", "A message that is too big is refused at its header",
        frame(BINARY, b"", size=1_001), 1009, path=b"/ws/small"),
    _fails("6455 10.4", "Fragments that are too big together are refused",
        frame(BINARY, b"x" * 600, final=False) + frame(CONTINUATION, b"x" * 401), 1009, path=b"/ws/small"),
    _fails("6455 10.4", "A terabyte is refused at its header", frame(BINARY, b"", size=1 << 40), 1009),
    _fails("6455 10.4", "Thousands of empty fragments are refused",
        frame(TEXT, b"", final=False) + frame(CONTINUATION, b"", final=False) * 5_000, 1008, 1009),
]  # fmt: skip

CASES = _GOOD + _BAD + _FRAMES
