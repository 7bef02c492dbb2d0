"""One client's side of the talk: bytes in, events out; answers in, bytes out.

First HTTP, then, after a handshake, WebSocket frames. Knows h11 and wsproto. Knows no socket, no clock and no app.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from ..request import Request
from ..settings import Settings
from .events import Event, Waiting
from .fields import Field
from .handshake import accept_lines
from .http1 import Http1, Peer
from .scanner import Limits

if TYPE_CHECKING:
    from .frames import Frames

__all__ = ["Session"]

_limits = lru_cache(maxsize=8)(Limits)  # one for all connections


class Session:
    """A connection's protocol state. Verbs are for the exchange, ``waiting`` and ``data_to_send`` for the server."""

    __slots__ = ("_settings", "http", "phase", "websocket")

    def __init__(
        self,
        peer: Peer,
        settings: Settings,
        http_date: Callable[[], bytes],
        targets: Container[tuple[str, str]] = (),
    ) -> None:
        limits = _limits(settings.max_line_bytes, settings.max_head_bytes, settings.max_headers)
        self._settings = settings
        self.http = Http1(peer, limits, http_date, targets=targets)
        self.websocket: Frames | None = None
        self.phase: Http1 | Frames = self.http
        """The one of them that speaks now; for who asks it in each turn."""

    @property
    def waiting(self) -> Waiting:
        """What the session waits for."""
        return self.phase.waiting

    @property
    def buffered(self) -> int:
        """Bytes received and not yet parsed; the server stops reading where they pile up."""
        return self.phase.buffered

    @property
    def peer_ended(self) -> bool:
        """Whether the peer has ended its stream."""
        return self.phase.peer_ended

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the peer; empty bytes are the end of its stream."""
        self.phase.receive_data(data)

    def next_event(self) -> Event | None:
        """What came next; None until more bytes come or the answer that is due is given."""
        return self.phase.next_event()

    @property
    def has_output(self) -> bool:
        """Whether ``data_to_send`` has anything to give."""
        return self.phase.has_output

    def data_to_send(self) -> Sequence[bytes]:
        """Bytes for the peer since the last call, in order."""
        return self.phase.data_to_send()

    def drop(self) -> None:
        """Let go of what came and of what is to be sent: nobody is there any more."""
        self.phase.drop()

    def accept(
        self,
        request: Request,
        extra: Sequence[Field],
        subprotocol: str | None,
        max_message_size: int | None,
        compression: bool,
    ) -> Frames:
        """Answer 101 and speak WebSocket from here on; bytes that came behind the handshake are its first frames.

        The HTTP half ends here: a connection that may stay open for days keeps nothing of it.
        """
        # All of WebSocket is loaded with the first of them; `spare` does it in time.
        from .deflate import Deflate, negotiate
        from .frames import Frames, MessageLimits

        ended = self.http.peer_ended
        lines = [*accept_lines(request, subprotocol), *extra]
        agreement = negotiate(",".join(request.headers.getlist("sec-websocket-extensions"))) if compression else None
        if agreement is not None:
            lines.append((b"Sec-WebSocket-Extensions", agreement.line().encode("ascii")))
        size = self._settings.max_message_size if max_message_size is None else max_message_size
        limits = MessageLimits(size, self._settings.max_fragments)
        deflate = Deflate(agreement) if agreement is not None else None
        frames = Frames(self.http.switch(lines), ended, limits, deflate)
        frames.send_frame(b"".join(self.http.data_to_send()))
        self.phase = self.websocket = frames
        del self.http
        return frames
