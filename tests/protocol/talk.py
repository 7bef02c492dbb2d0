"""A session without a connection: bytes in, events as short words, and what comes out."""

from __future__ import annotations

from microsock.protocol.events import Event, RequestReceived, RequestRefused, RequestStarted, Waiting
from microsock.protocol.http1 import Http1, Peer
from microsock.protocol.scanner import Limits
from microsock.request import Address, Request

__all__ = ["DATE", "LIMITS", "Talk"]

DATE = b"Date: now\r\n"
LIMITS = Limits(line=8190, head=16 << 10, headers=100)


class Talk:
    """The HTTP half of one session. Bodies of up to ``body_limit`` bytes are admitted by themselves."""

    def __init__(self, *, limits: Limits = LIMITS, body_limit: int = 1000) -> None:
        self.http = Http1(Peer(Address("127.0.0.1", 1)), limits, lambda: b"now")
        self.request: Request | None = None
        self._body_limit = body_limit

    def feed(self, data: bytes) -> list[Event]:
        """What these bytes bring about; empty bytes are the end of the stream."""
        self.http.receive_data(data)
        return self.events()

    def events(self) -> list[Event]:
        """What there is to tell."""
        events: list[Event] = []
        while (event := self.http.next_event()) is not None:
            if isinstance(event, RequestStarted):
                event = self.http.admit(self._body_limit) or event
            if isinstance(event, (RequestReceived, RequestRefused)):
                self.request = event.request
            events.append(event)
        return events

    def verdict(self, pieces: list[bytes]) -> int:
        """The status that these bytes are refused with; 0 for a whole request, -1 for one that is still to come."""
        for piece in pieces:
            for event in self.feed(piece):
                if isinstance(event, RequestRefused):
                    return event.status
                if isinstance(event, RequestReceived):
                    return 0
        return -1

    def waits_for(self, waiting: Waiting) -> bool:
        """Whether this is what the session waits for."""
        return self.http.waiting is waiting

    def sent(self) -> bytes:
        """All that went out since the last call."""
        return b"".join(self.http.data_to_send())
