"""The HTTP/1.1 half of a session: requests in, answers out, framed by h11.

Bytes pass the scanner, then h11, one fresh h11 object for each request: an idle connection keeps none. While an
answer is due nothing behind it is parsed. Knows no socket, no clock and no app.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from sys import intern
from typing import NamedTuple

import h11

from ..errors import LocalProtocolError, RemoteProtocolError, reason_phrase
from ..request import Address, Request
from .events import Event, RequestReceived, RequestRefused, RequestStarted, StreamEnded, Waiting
from .framing import Framing, examine
from .scanner import ChunkedBody, HeadScanner, Limits

__all__ = ["Http1", "Peer"]

Lines = Sequence[tuple[bytes, bytes]]

# Empty lines that a peer may send before a request line (RFC 9112 section 2.2).
_MAX_EMPTY_LINES = 8
_OURS = frozenset({b"content-length", b"transfer-encoding", b"date", b"keep-alive"})
_CLOSE = (b"Connection", b"close")


class Peer(NamedTuple):
    """What is known of the other end before it says a word."""

    client: Address
    scheme: str = "http"


class _Head(NamedTuple):
    """A head in its parts; names of lines in lower case."""

    method: str
    target: str
    version: str
    lines: list[tuple[bytes, bytes]]


class Http1:
    """One connection while it speaks HTTP.

    Call ``receive_data`` and then ``next_event`` until it gives None. After ``RequestStarted`` call ``admit`` or
    ``respond``; after ``RequestReceived`` or ``RequestRefused`` call ``respond``, with ``send_piece`` and ``finish``
    behind it for a streamed body, or ``switch``.
    """

    __slots__ = (
        "_body", "_buffer", "_chunked", "_empty_lines", "_ended", "_framing", "_h11", "_http_date", "_length_left",
        "_limits", "_out", "_request", "_scanner", "last_answer", "peer", "waiting",
    )  # fmt: skip

    def __init__(self, peer: Peer, limits: Limits, http_date: Callable[[], bytes]) -> None:
        self.waiting = Waiting.IDLE
        self.last_answer = False  # whether the next answer is to close the connection
        self.peer = peer
        self._limits = limits
        self._http_date = http_date
        self._buffer = bytearray()
        self._ended = False
        self._empty_lines = 0
        self._out: list[bytes] = []
        self._scanner = HeadScanner(limits)
        self._h11: h11.Connection | None = None
        self._request: Request | None = None
        self._framing: Framing | None = None
        self._chunked: ChunkedBody | None = None
        self._body = bytearray()
        self._length_left = 0

    # In.

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the peer; empty bytes are the end of its stream."""
        if data:
            self._buffer += data
        else:
            self._ended = True

    @property
    def buffered(self) -> int:
        """Bytes received and not yet parsed."""
        return len(self._buffer)

    @property
    def peer_ended(self) -> bool:
        """Whether the peer has ended its stream."""
        return self._ended

    def next_event(self) -> Event | None:
        """What came next, or None until more bytes come or the answer that is due is given."""
        try:
            if self.waiting in (Waiting.IDLE, Waiting.HEAD):
                return self._next_head()
            if self.waiting is Waiting.BODY:
                return self._next_body()
        except RemoteProtocolError as error:
            return self.refuse(error.status, str(error))
        return None

    def admit(self, max_body_size: int) -> Event | None:
        """Let the body of the request that started come, up to ``max_body_size`` bytes; else it is refused."""
        framing = self._started()
        if framing.length > max_body_size:
            return self.refuse(413, f"the body is larger than {max_body_size} bytes")
        self._length_left = framing.length
        self._chunked = ChunkedBody(max_body_size) if framing.chunked else None
        self.waiting = Waiting.BODY
        if framing.expects_continue:
            # Also when the body is here already: so the answer does not depend on how the network cut the bytes.
            self._send(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue"))
        return None

    def _next_head(self) -> Event | None:
        self._skip_empty_lines()
        if self._buffer and self._buffer != b"\r":
            self.waiting = Waiting.HEAD
            length = self._scanner.feed(self._buffer)
            if length is not None:
                return self._parse_head(length)
        if self._ended:
            if self.waiting is Waiting.HEAD:
                raise RemoteProtocolError("the request head is incomplete")
            self.waiting = Waiting.NOTHING
            return StreamEnded()
        return None

    def _skip_empty_lines(self) -> None:
        if self.waiting is Waiting.HEAD:
            return
        while self._buffer.startswith(b"\r\n"):
            self._empty_lines += 1
            if self._empty_lines > _MAX_EMPTY_LINES:
                raise RemoteProtocolError("empty lines instead of a request")
            del self._buffer[:2]

    def _parse_head(self, length: int) -> Event | None:
        head = bytes(self._buffer[:length])
        del self._buffer[:length]
        # Before h11, which joins repeated lengths and knows fewer statuses.
        self._framing = framing = self._examine(_split(head))
        self._h11 = h11.Connection(h11.SERVER)
        self._h11.receive_data(head)
        self._read_h11()
        self.waiting = Waiting.ANSWER
        assert self._request is not None
        if framing.length or framing.chunked:
            return RequestStarted(self._request)
        self._read_h11()  # the end of the message
        return RequestReceived(self._request)

    def _examine(self, head: _Head) -> Framing:
        try:
            framing = examine(*head)
        except RemoteProtocolError:
            self._request = self._new_request(head, head.target, "")
            raise
        self._request = self._new_request(head, framing.target, framing.host)
        return framing

    def _new_request(self, head: _Head, target: str, host: str) -> Request:
        return Request(
            head.method,
            target,
            head.lines,
            client=self.peer.client,
            scheme=self.peer.scheme,
            host=host,
            http_version=head.version,
        )

    def _read_h11(self) -> object:
        assert self._h11 is not None
        try:
            return self._h11.next_event()
        except h11.RemoteProtocolError as error:
            # h11's words would send the peer's own bytes back.
            raise RemoteProtocolError("malformed header line") from error

    def _next_body(self) -> Event | None:
        assert self._request is not None
        if self._take_body():
            self._request.body = bytes(self._body)
            self._body = bytearray()
            self.waiting = Waiting.ANSWER
            return RequestReceived(self._request)
        if self._ended:
            raise RemoteProtocolError("the request body is incomplete")
        return None

    def _take_body(self) -> bool:
        assert self._h11 is not None
        if self._chunked is None:
            payload = bytes(self._buffer[: self._length_left])
            del self._buffer[: self._length_left]
            self._length_left -= len(payload)
            self._h11.receive_data(payload) if payload else None
        else:
            payload = self._chunked.feed(self._buffer)
            if payload:
                # One chunk for h11, however many it was on the wire.
                self._h11.receive_data(b"%x\r\n%b\r\n" % (len(payload), payload))
            if self._chunked.trailers is not None:
                self._h11.receive_data(b"0\r\n" + self._chunked.trailers)
        return self._collect()

    def _collect(self) -> bool:
        while True:
            event = self._read_h11()
            if isinstance(event, h11.Data):
                self._body += event.data
            else:
                # The trailers are in EndOfMessage; they are bounded, checked, and never merged into the headers.
                return isinstance(event, h11.EndOfMessage)

    def refuse(self, status: int, message: str) -> RequestRefused:
        """Give this request up; answer the event that comes back, then the connection closes."""
        self.waiting = Waiting.ANSWER
        self.last_answer = True
        return RequestRefused(status, message, self._request)

    def _started(self) -> Framing:
        if self.waiting is not Waiting.ANSWER or self._framing is None:
            raise LocalProtocolError("no request has started")
        return self._framing

    # Out.

    def respond(self, status: int, lines: Lines, body: bytes | None) -> None:
        """Answer: status, header lines and the whole body, or None where pieces follow.

        Framing, Date and Connection are added here; what the app says about them is dropped, but for a
        Content-Length in front of a streamed body or of none, and a ``Connection: close``.
        """
        connection = self._h11
        if connection is None or connection.their_state is h11.ERROR:
            # What could not be read is answered all the same, by an h11 that saw nothing of it.
            self._h11 = connection = h11.Connection(h11.SERVER)
            body = b"" if self._is_head() else body
        if connection.their_state is h11.SEND_BODY:
            self.last_answer = True
        dropped = _OURS | {b"connection"} if self.last_answer else _OURS
        headers = [line for line in lines if line[0].lower() not in dropped]
        headers.append((b"Date", self._http_date()))
        if status not in (204, 304):
            headers += self._length_line(lines, body)
        if self.last_answer:
            headers.append(_CLOSE)
        self._send(h11.Response(status_code=status, headers=headers, reason=reason_phrase(status).encode("ascii")))
        if body is not None:
            if body and not self.bodyless(status):
                self._send(h11.Data(data=body))
            self._end()

    def _length_line(self, lines: Lines, body: bytes | None) -> list[tuple[bytes, bytes]]:
        own = [line for line in lines if line[0].lower() == b"content-length"]
        if body is None:
            return own
        if not body and self._is_head() and len(own) == 1 and own[0][1].isdigit() and len(own[0][1]) < 20:
            return own
        return [(b"Content-Length", b"%d" % len(body))]

    def bodyless(self, status: int) -> bool:
        """Whether an answer with this status has no body, whatever the app gives (RFC 9110 section 6.4.1)."""
        return status in (204, 304) or self._is_head()

    def _is_head(self) -> bool:
        return self._request is not None and self._request.method == "HEAD"

    def send_piece(self, piece: bytes) -> None:
        """Send a piece of a streamed body. Raises ``LocalProtocolError`` past the Content-Length that was announced."""
        if piece:
            self._send(h11.Data(data=piece))

    def finish(self) -> None:
        """End a streamed body. Raises ``LocalProtocolError`` if it is shorter than was announced."""
        self._end()

    def abandon(self) -> None:
        """Give up in the middle of an answer: no last chunk, so that the peer can tell (RFC 9112 section 8)."""
        self.waiting = Waiting.NOTHING

    def switch(self, lines: Lines) -> bytearray:
        """Answer 101 and end HTTP here; gives the bytes that came behind the request (RFC 9110 section 7.8)."""
        self._send(h11.InformationalResponse(status_code=101, headers=list(lines), reason=b"Switching Protocols"))
        self.waiting = Waiting.NOTHING
        self._forget_request()
        return self._buffer

    @property
    def has_output(self) -> bool:
        """Whether ``data_to_send`` has anything to give."""
        return bool(self._out)

    def data_to_send(self) -> list[bytes]:
        """Bytes for the peer since the last call, in order."""
        out, self._out = self._out, []
        return out

    def _send(self, event: h11.Event) -> None:
        assert self._h11 is not None
        try:
            pieces = self._h11.send_with_data_passthrough(event)
        except h11.LocalProtocolError as error:
            raise LocalProtocolError(str(error)) from error
        self._out += pieces or ()

    def _end(self) -> None:
        self._send(h11.EndOfMessage())
        assert self._h11 is not None
        if self.last_answer or self._h11.our_state is not h11.DONE:
            self.waiting = Waiting.NOTHING
            return
        self.waiting = Waiting.IDLE
        self._forget_request()
        self._empty_lines = 0
        self._scanner = HeadScanner(self._limits)

    def _forget_request(self) -> None:
        self._h11 = self._request = self._framing = self._chunked = None


def _split(head: bytes) -> _Head:
    # The scanner has seen that the request line has three words; h11 is still to judge the lines.
    request_line, *lines = head[:-4].split(b"\r\n")
    method, target, version = request_line.decode("ascii").split(" ")
    pairs = (line.partition(b":") for line in lines)
    # Interned: a request may be kept for as long as its WebSocket is open.
    return _Head(
        intern(method), target, intern(version[5:]), [(name.lower(), value.strip(b" \t")) for name, _, value in pairs]
    )
