"""The HTTP/1.1 half of a session: requests in, answers out.

An ordinary request takes a short way; every other one passes the scanner and then h11. The two ways have one
interface, and from outside nobody can tell which was taken. While an answer is due nothing behind it is parsed.
Knows no socket, no clock and no app.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Container, Iterable, Sequence

from ..errors import LocalProtocolError, RemoteProtocolError
from ..request import Address, Request
from ..startup import NamedTuple
from .body import IncomingBody
from .events import Event, RequestReceived, RequestRefused, RequestStarted, StreamEnded, Waiting
from .fields import BODYLESS, FRAMING, AnswerHead, Field, HeadTable, Line
from .framing import Framing, HeadParts, examine, split_head
from .ordinary import Head, Ordinary, read_alone, read_ordinary
from .scanner import HeadScanner, Limits, as_served
from .whole import Whole

__all__ = ["HEADS", "Http1", "Peer"]

# Empty lines that a peer may send before a request line (RFC 9112 section 2.2).
_MAX_EMPTY_LINES = 8
# What a part of a chunked body costs by h11, in units of about a microsecond.
_BODY_COST = 30
_LENGTH = re.compile(rb"[0-9]{1,19}")
# What all connections of this process were told; see `fields`.
HEADS = HeadTable()
# Read some ten times in each request; a member of an Enum is ten times slower to look up than a name.
_IDLE, _HEAD, _BODY, _ANSWER, _NOTHING = (
    Waiting.IDLE, Waiting.HEAD, Waiting.BODY, Waiting.ANSWER, Waiting.NOTHING,
)  # fmt: skip


class Peer(NamedTuple):
    """What is known of the other end before it says a word."""

    client: Address
    scheme: str = "http"


class Http1:
    """One connection while it speaks HTTP.

    Call ``receive_data`` and then ``next_event`` until it gives None. After ``RequestStarted`` call ``admit`` or
    ``respond``; after ``RequestReceived`` or ``RequestRefused`` call ``respond``, with ``send_piece`` and ``finish``
    behind it for a streamed body, or ``switch``.
    """

    __slots__ = (
        "_body", "_buffer", "_empty_lines", "_framing", "_http_date", "_limits", "_out", "_request", "_scanner",
        "_short", "_targets", "_way", "budget", "client", "last_answer", "peer_ended", "scheme", "waiting",
    )  # fmt: skip

    def __init__(
        self,
        peer: Peer,
        limits: Limits,
        http_date: Callable[[], bytes],
        short: bool = True,
        targets: Container[tuple[str, str]] = (),
    ) -> None:
        self.waiting = _IDLE
        self.last_answer = False
        """Whether the next answer is to close the connection."""
        self.budget = sys.maxsize
        """How much of a body may be parsed, in units of about a microsecond; at 0 and below there may be more of it."""
        self.client, self.scheme = peer
        self.peer_ended = False
        """Whether the peer has ended its stream."""
        self._limits = limits
        # Each with its method: of them the request lines may be remembered.
        self._targets = targets
        self._http_date = http_date
        # Bytes as they came where they are all there is; a bytearray once there is more to take in or to leave.
        self._buffer: bytes | bytearray = b""
        self._empty_lines = 0
        self._out: Sequence[bytes] = ()
        self._scanner: HeadScanner | None = None  # while a head is looked at
        self._short = short  # whether an ordinary request may take the short way
        self._way: Whole | Ordinary | None = None
        self._request: Request | None = None
        self._framing: Framing | None = None
        self._body: IncomingBody | None = None

    # In.

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the peer; empty bytes are the end of its stream."""
        if not data:
            self.peer_ended = True
        elif not self._buffer:
            self._buffer = data
        else:
            self._gathered().extend(data)

    def _gathered(self) -> bytearray:
        # What is here, in a form that can grow and shrink.
        if isinstance(self._buffer, bytes):
            self._buffer = bytearray(self._buffer)
        return self._buffer

    def _drop(self, size: int) -> None:
        # The first bytes are read; what is left of one large read is not copied again for each request in it.
        if size == len(self._buffer):
            self._buffer = b""
        else:
            del self._gathered()[:size]

    @property
    def buffered(self) -> int:
        """Bytes received and not yet parsed."""
        return len(self._buffer)

    @property
    def held(self) -> int:
        """Bytes in memory: those not parsed, and the body of the request that is read or answered."""
        body = 0 if self._request is None else len(self._request.body)
        return len(self._buffer) + (body if self._body is None else self._body.size)

    @property
    def expected(self) -> int:
        """Bytes of the body of the request that started that were announced and are not here yet."""
        return 0 if self._framing is None else max(0, self._framing.length - len(self._buffer))

    @property
    def due(self) -> int:
        """Bytes of a body that must come before anything else, and are taken as they come."""
        return self._body.left if self._body is not None and self.waiting is _BODY else 0

    @property
    def may_switch(self) -> bool:
        """Whether the request may ask for another protocol; one that took the short way has no Upgrade line."""
        return type(self._way) is Whole

    def next_event(self) -> Event | None:
        """What came next, or None until more bytes come or the answer that is due is given."""
        if not self._buffer and not self.peer_ended:
            return None
        waiting = self.waiting
        try:
            if waiting is _IDLE or waiting is _HEAD:
                return self._next_head()
            if waiting is _BODY:
                return self._next_body()
        except RemoteProtocolError as error:
            return self.refuse(error.status, str(error))
        return None

    def read_alone(self, data: bytes) -> Head | None:
        """An ordinary request that is all of ``data``, where nothing is under way; else ``data`` is received.

        It is not begun yet: answer it, or ``begin`` it.
        """
        if self._short:
            head = read_alone(data, self._limits, self._targets)
            if head is not None:
                self._empty_lines = 0
                return head
        self.receive_data(data)
        return None

    def begin(self, head: Head, request: Request, rest: bytes | bytearray) -> RequestStarted | RequestReceived:
        """An ordinary request goes the way of all others, with what came behind its head; gives its event."""
        self._way = Ordinary(head)
        self._request = request
        self._buffer = rest
        self.waiting = _ANSWER
        if self._way.length:
            self._framing = Framing(head[2], head[4], self._way.length, False, False)
            return RequestStarted(request)
        return RequestReceived(request)

    def skip_body(self) -> None:
        """The body of the ordinary request that began was taken with its head."""
        assert self._way is not None
        self._way.read_body(bytes(self._started().length))

    def admit(self, max_body_size: int, has_room: bool = True) -> Event | None:
        """Let the body of the request that started come, up to ``max_body_size`` bytes; else it is refused.

        So is one for which the server has no room.
        """
        framing = self._started()
        if framing.length > max_body_size:
            return self.refuse(413, f"the body is larger than {max_body_size} bytes")
        if not has_room:
            return self.refuse_body()
        self._body = IncomingBody(framing, max_body_size)
        self.waiting = _BODY
        if framing.expects_continue:
            # Also when the body is here already: so the answer does not depend on how the network cut the bytes.
            assert isinstance(self._way, Whole)
            self._say(self._way.inform(100, ()))
        return None

    def _next_head(self) -> Event | None:
        if self._buffer.startswith(b"\r\n"):
            self._skip_empty_lines()
        if self._short and self.waiting is _IDLE and self._buffer:
            head = read_ordinary(self._buffer, self._limits, self._targets)
            if head is not None:
                raw, method, target, fields, host, due, _ = head
                end = len(raw) + 4
                if end + due < len(self._buffer):
                    self._drop(end)  # and another request is behind it
                else:
                    self._buffer = self._buffer[end:]
                return self.begin(head, self._new_request(method, target, "1.1", fields, host), self._buffer)
        if self._buffer and self._buffer != b"\r":
            self.waiting = _HEAD
            if self._scanner is None:
                self._scanner = HeadScanner(self._limits)
            length = self._scanner.feed(self._gathered())
            if length is not None:
                return self._parse_head(length)
        if self.peer_ended:
            if self.waiting is _HEAD:
                raise RemoteProtocolError("the request head is incomplete")
            self.waiting = _NOTHING
            return StreamEnded()
        return None

    def _skip_empty_lines(self) -> None:
        while self.waiting is not _HEAD and self._buffer.startswith(b"\r\n"):
            self._empty_lines += 1
            if self._empty_lines > _MAX_EMPTY_LINES:
                raise RemoteProtocolError("empty lines instead of a request")
            self._drop(2)

    def _parse_head(self, length: int) -> Event | None:
        head = as_served(bytes(self._buffer[:length]))
        self._drop(length)
        self._scanner = None
        # Before h11, which joins repeated lengths and knows fewer statuses.
        self._framing = framing = self._examine(split_head(head))
        has_body = framing.length > 0 or framing.chunked
        self._way = Whole()
        self._way.read_head(head, has_body)
        self.waiting = _ANSWER
        assert self._request is not None
        return RequestStarted(self._request) if has_body else RequestReceived(self._request)

    def _examine(self, head: HeadParts) -> Framing:
        try:
            framing = examine(*head)
        except RemoteProtocolError:
            self._request = self._new_request(head.method, head.target, head.version, head.lines, "")
            raise
        self._request = self._new_request(head.method, framing.target, head.version, head.lines, framing.host)
        return framing

    def _new_request(self, method: str, target: str, version: str, lines: list[Field], host: str) -> Request:
        return Request(method, target, lines, b"", self.client, self.scheme, host, version)

    def _next_body(self) -> Event | None:
        way, request, body = self._way, self._request, self._body
        assert way is not None
        assert request is not None
        assert body is not None
        if body.chunked:
            part = body.unframe(self._gathered(), self.budget)
            self.budget -= body.cost + _BODY_COST
        else:
            part = body.take(self._buffer)
            self._drop(len(part))
        payload = way.read_body(part)
        if not way.reading:
            request.body = body.whole(payload)
            self._body = None
            self.waiting = _ANSWER
            return RequestReceived(request)
        if self.peer_ended and self.budget > 0:
            raise RemoteProtocolError("the request body is incomplete")
        body.keep(payload)
        return None

    def refuse(self, status: int, message: str) -> RequestRefused:
        """Give this request up; answer the event that comes back, then the connection closes."""
        self.waiting = _ANSWER
        self.last_answer = True
        # What came of it is not looked at any more, and neither is what is behind it.
        self._buffer = b""
        self._scanner = self._body = None
        return RequestRefused(status, message, self._request)

    def refuse_body(self) -> RequestRefused:
        """``refuse`` a body for which the server has no room."""
        return self.refuse(503, "the server has no room for this body now")

    def _started(self) -> Framing:
        if self.waiting is not _ANSWER or self._framing is None:
            raise LocalProtocolError("no request has started")
        return self._framing

    # Out.

    def respond(self, status: int, headers: Iterable[tuple[str, str]], body: bytes | None) -> int:
        """Answer: status, header lines and the whole body, or None where pieces follow; gives the bytes of that body.

        Framing, Date and Connection are added here; what the app says about them is dropped, but for a
        Content-Length in front of a streamed body or of none, and a ``Connection: close``.
        """
        way = self._way
        if way is None or way.broken:
            # What could not be read is answered all the same, by an h11 that saw nothing of it.
            self._way = way = Whole()
            body = b"" if self._is_head() else body
        if way.reading:
            self.last_answer = True
        pairs = tuple(headers)
        head = HEADS.known.get((status, pairs)) or HEADS.judge(status, pairs)
        if body is not None and head.plain and not self._is_head():
            self._say(way.answer(head, self._http_date(), body, self.last_answer))
            self._over(way)
            return len(body)
        length = b"%d" % len(body) if body is not None else None
        if head.framing:
            length = self._own_length(head.lines, body, length)
            head, way = self._framed(head, way)
        if status in (204, 304):
            length = None
        elif status == 205:
            length = b"0"  # of all that has no content the one that says so (RFC 9110 section 15.3.6)
        self._say(way.respond(head, self._http_date(), length, self.last_answer))
        if body is None or self.bodyless(status):
            body = body and b""
        if body:
            self._say(way.send_piece(body))
        if body is not None:
            self._end(way)
        return len(body or b"")

    def _own_length(self, lines: Iterable[Line], body: bytes | None, length: bytes | None) -> bytes | None:
        # The app knows the length of a stream, and of a body that HEAD need not make. A wrong one is a mistake.
        own = {line.value for line in lines if line.name.lower() == b"content-length"}
        right = len(own) == 1 and all(map(_LENGTH.fullmatch, own))
        if body is None and own and not right:
            raise LocalProtocolError("bad or conflicting Content-Length")
        return own.pop() if right and (body is None or (not body and self._is_head())) else length

    def _framed(self, head: AnswerHead, way: Whole | Ordinary) -> tuple[AnswerHead, Whole | Ordinary]:
        # Without the lines whose place is ours; what the app says of the connection is for h11 to obey.
        kept = [line for line in head.lines if line.name.lower() not in FRAMING]
        connection = [line for line in head.lines if line.name.lower() == b"connection" and not self.last_answer]
        if connection and isinstance(way, Ordinary):
            way = self._way = self._replayed(way)
        return AnswerHead(head.status, (*kept, *connection)), way

    def _replayed(self, way: Ordinary) -> Whole:
        # An h11 that has read what the short way has; of the body it wants to know no more than the length.
        whole = Whole()
        whole.read_head(way.raw + b"\r\n\r\n", way.length > 0)
        if way.length:
            whole.read_body(bytes(way.length))
        return whole

    def bodyless(self, status: int) -> bool:
        """Whether an answer with this status has no body, whatever the app gives (RFC 9110 sections 6.4.1, 15.3.6)."""
        return status in BODYLESS or self._is_head()

    def _is_head(self) -> bool:
        return self._request is not None and self._request.method == "HEAD"

    def send_piece(self, piece: bytes) -> None:
        """Send a piece of a streamed body. Raises ``LocalProtocolError`` past the Content-Length that was announced."""
        if piece:
            assert self._way is not None
            self._say(self._way.send_piece(piece))

    def finish(self) -> None:
        """End a streamed body. Raises ``LocalProtocolError`` if it is shorter than was announced."""
        assert self._way is not None
        self._end(self._way)

    def abandon(self) -> None:
        """Give up in the middle of an answer: no last chunk, so that the peer can tell (RFC 9112 section 8)."""
        self.waiting = _NOTHING

    def switch(self, lines: Sequence[Field]) -> bytearray:
        """Answer 101 and end HTTP here; gives the bytes that came behind the request (RFC 9110 section 7.8)."""
        assert isinstance(self._way, Whole)
        self._say(self._way.inform(101, lines))
        self.waiting = _NOTHING
        self._forget_request()
        return self._gathered()

    @property
    def has_output(self) -> bool:
        """Whether ``data_to_send`` has anything to give."""
        return bool(self._out)

    def data_to_send(self) -> Sequence[bytes]:
        """Bytes for the peer since the last call, in order."""
        out, self._out = self._out, ()
        return out

    def drop(self) -> None:
        """Let go of all that was received and said; nothing is to be called after this."""
        self.waiting = _NOTHING
        self._buffer = b""
        self._out = ()
        self._scanner = None
        self._forget_request()

    def _say(self, pieces: Sequence[bytes]) -> None:
        self._out = [*self._out, *pieces] if self._out else pieces

    def _end(self, way: Whole | Ordinary) -> None:
        self._say(way.finish())
        self._over(way)

    def _over(self, way: Whole | Ordinary) -> None:
        if self.last_answer or not way.reusable:
            self.waiting = _NOTHING
            return
        self.waiting = _IDLE
        self._empty_lines = 0
        self._forget_request()

    def _forget_request(self) -> None:
        self._way = self._request = self._framing = self._body = None
