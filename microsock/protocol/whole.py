"""The long way for a request: h11 judges every line, frames the body and writes the answer.

One object for each request, from its head to the end of its answer; an idle connection keeps none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import LocalProtocolError, RemoteProtocolError, reason_phrase
from .fields import AnswerHead, Field

if TYPE_CHECKING:
    import h11

__all__ = ["Whole"]


class Whole:
    """One request and its answer, by h11. One that has seen no request answers what could not be read."""

    __slots__ = ("_h11",)

    def __init__(self) -> None:
        # Not with this module: most requests never come here. `spare` has it loaded in time.
        global h11
        import h11

        self._h11 = h11.Connection(h11.SERVER)

    # In.

    def read_head(self, head: bytes, has_body: bool) -> None:
        """Judge a head. Raises ``RemoteProtocolError``."""
        self._h11.receive_data(head)
        self._next_event()
        if not has_body:
            self._next_event()  # the end of the message

    def read_body(self, data: bytes) -> bytes:
        """The payload in some of the body as it came over the wire. Raises ``RemoteProtocolError``."""
        if data:
            self._h11.receive_data(data)
        payload = bytearray()
        while isinstance(event := self._next_event(), h11.Data):
            payload += event.data
        # The trailers are in EndOfMessage; they are bounded, checked, and never merged into the headers.
        return bytes(payload)

    def _next_event(self) -> object:
        try:
            return self._h11.next_event()
        except h11.RemoteProtocolError as error:
            # h11's words would send the peer's own bytes back.
            raise RemoteProtocolError("malformed header line") from error

    @property
    def reading(self) -> bool:
        """Whether some of the request's body is still to come."""
        return self._h11.their_state is h11.SEND_BODY

    @property
    def broken(self) -> bool:
        """Whether what came could not be read; then another one is to answer it."""
        return self._h11.their_state is h11.ERROR

    # Out.

    def answer(self, head: AnswerHead, date: bytes, body: bytes, closing: bool) -> list[bytes]:
        """A whole answer that has a body, and whose head has no line that is the server's to fill."""
        return [*self.respond(head, date, b"%d" % len(body), closing), *self.send_piece(body), *self.finish()]

    def respond(self, head: AnswerHead, date: bytes, length: bytes | None, closing: bool) -> list[bytes]:
        """The head of an answer. ``length`` is that of its body, as text; None where it is unknown or there is none."""
        headers = [(line.name, line.value) for line in head.lines]
        headers.append((b"Date", date))
        if length is not None:
            headers.append((b"Content-Length", length))
        if closing:
            headers.append((b"Connection", b"close"))
        reason = reason_phrase(head.status).encode("ascii")
        return self._send(h11.Response(status_code=head.status, headers=headers, reason=reason))

    def inform(self, status: int, lines: Sequence[Field]) -> list[bytes]:
        """An answer before the answer: 100, or 101, which ends HTTP here."""
        reason = reason_phrase(status).encode("ascii")
        return self._send(h11.InformationalResponse(status_code=status, headers=list(lines), reason=reason))

    def send_piece(self, piece: bytes) -> list[bytes]:
        """A piece of the answer's body. Raises ``LocalProtocolError`` past the length that was announced."""
        return self._send(h11.Data(data=piece))

    def finish(self) -> list[bytes]:
        """The end of the answer. Raises ``LocalProtocolError`` if it is shorter than was announced."""
        return self._send(h11.EndOfMessage())

    @property
    def reusable(self) -> bool:
        """Whether all has been said, and another request may follow."""
        return self._h11.our_state is h11.DONE

    def _send(self, event: h11.Event) -> list[bytes]:
        try:
            return self._h11.send_with_data_passthrough(event) or []
        except h11.LocalProtocolError as error:
            raise LocalProtocolError(str(error)) from error
