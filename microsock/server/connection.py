"""One client's connection: bytes from the transport to the exchange and back, each wait with a deadline.

Life: open, then (when the session has nothing more to say) half-closed and drained, then closed. A turn reads, lets
the exchange handle what came, pulls streamed bodies while there is room, and sends. Knows no selector and no
protocol; time comes from the timers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..buffered import AT_EASE
from ..exchange import HIGH_WATER, Exchange
from ..failures import log_failure, reraise_if_fatal
from ..protocol.events import Waiting
from ..protocol.http1 import Peer
from ..request import Address
from ..site import Site
from ..tally import Cell
from .patience import Patience
from .timers import Timers

if TYPE_CHECKING:
    from .transport import Transport

__all__ = ["Connection"]

_IDLE, _BODY, _NOTHING = Waiting.IDLE, Waiting.BODY, Waiting.NOTHING
# What one turn may do before other connections get theirs.
_EVENTS_A_TURN = 16
_PIECES_A_TURN = 64
_PULL_SECONDS = 0.005
# A large body is read in pieces of so many bytes at most.
_LARGEST_READ = 4 * HIGH_WATER


class Connection:
    """Give it every piece of news about its transport by ``handle``; it asks for news by ``transport.watch``.

    Args:
        site: the app's share of this worker.
        transport: the client's bytes.
        timers: the loop's.
        client: the peer's address.
        scheme: ``http`` or ``https``.
        on_closed: called once, when nothing is left to do.
    """

    __slots__ = (
        "_again", "_at_rest", "_client", "_exchange", "_has_more", "_in_turn", "_lingering", "_on_closed", "_out",
        "_patience", "_push_due", "_site", "_transport", "_turn_due", "_unsaid", "_writing", "_yielded", "closed",
        "queued_bytes", "reading", "received", "sent",
    )  # fmt: skip

    def __init__(
        self,
        site: Site,
        transport: Transport,
        timers: Timers,
        *,
        client: Address,
        scheme: str = "http",
        on_closed: Callable[[Connection], None],
    ) -> None:
        self.closed = False
        self.reading = True
        """Whether it asks for what the peer sends."""
        self._client = client
        self._site = site
        self._transport = transport
        self._on_closed = on_closed
        self._exchange = Exchange(site, Peer(client, scheme), self)
        self._out: list[bytes | memoryview] = []
        self.queued_bytes = 0
        """Bytes that the kernel has not taken yet."""
        self._in_turn = False
        self._again = False
        self._has_more = False  # whether the last turn left something to do, for lack of time or of room to send
        self._turn_due = False
        self._yielded = False  # the turn that is due comes when others have had theirs
        self._push_due = False
        self._lingering = False
        self._writing = False  # whether it asks for room
        # Whether it waits for a request and for nothing else. With debug on each is to be seen coming.
        self._at_rest = not site.settings.debug
        self._unsaid = False  # that all that was queued has left
        self._patience = Patience(self, self._exchange, site, timers)
        self.sent = 0
        self.received = 0
        self._patience.look()
        transport.watch(True, False)
        site.tally.opened(Cell.CONNECTIONS, Cell.CONNECTIONS_TOTAL)

    # For a dump.

    @property
    def client(self) -> Address:
        """The peer."""
        return self._client

    @property
    def waiting(self) -> Waiting | None:
        """What its session waits for; None while it closes."""
        if self._lingering:
            return None
        return Waiting.ANSWER if self._exchange.answering else self._exchange.session.waiting

    @property
    def about(self) -> str:
        """What is answered, as ``GET /notes`` or ``WS /chat``; empty between requests."""
        return self._exchange.about

    # The wire, for the exchange.

    @property
    def acknowledged(self) -> int:
        """How many bytes the peer has taken so far, as far as the kernel can tell."""
        return self.sent - self._transport.unacknowledged()

    def write(self, chunks: Sequence[bytes]) -> None:
        """Queue bytes; they leave at the end of the current turn, or of one that is due soon."""
        if self.closed:
            return
        for chunk in chunks:
            self._out.append(chunk)
            self.queued_bytes += len(chunk)
        if self.queued_bytes > HIGH_WATER and not self._in_turn:
            self._relieve()
        self._turn_soon()

    def push(self, frame: bytes) -> None:
        """Queue bytes that nobody waits to see sent; they leave soon, without a turn where nothing else is due."""
        if self.closed:
            return
        self._out.append(frame)
        self.queued_bytes += len(frame)
        if self.queued_bytes > HIGH_WATER and not self._in_turn:
            self._relieve()
        if not (self._in_turn or self._turn_due or self._push_due):
            self._push_due = True
            self._site.call_soon(self._due_push)

    def _due_push(self) -> None:
        self._push_due = False
        if not self.closed:
            self.guarded(self._send_pushed)

    def _send_pushed(self) -> None:
        self._send()
        self._go_on()
        if not self._is_at_ease():
            self._settle()

    def _relieve(self) -> None:
        # A burst of pushes must not look like a slow reader just because no turn has come between them.
        try:
            self._hand_over()
            self._unsaid = True
        except ConnectionError:
            self._site.call_soon(self.abort)

    # News, from the loop.

    def handle(self, readable: bool, writable: bool) -> None:
        """The transport has something to read, or room to write."""
        if self.closed:
            return
        try:
            if self._yielded and (readable or writable):
                self._keep_up(readable)
                return
            if readable:
                if not self._at_rest or self._out:
                    self._read()
                elif self._answer():
                    return
            if not self.closed:
                self.turn()
        except BaseException as error:
            self._failed(error)

    def guarded(self, action: Callable[[], None]) -> None:
        """Do something for this connection; what it raises ends this connection and no other."""
        try:
            action()
        except BaseException as error:
            self._failed(error)

    def _failed(self, error: BaseException) -> None:
        reraise_if_fatal(error)
        if not issubclass(type(error), ConnectionError):
            log_failure(error, "unexpected error on the connection from %s", self._client.host)
        self.abort()

    @property
    def is_idle(self) -> bool:
        """Whether nothing has begun: it waits for a request."""
        return self._exchange.session.waiting is Waiting.IDLE and not self.queued_bytes

    @property
    def is_websocket(self) -> bool:
        """Whether it is an open WebSocket."""
        return self._exchange.conversation is not None

    def drain(self) -> None:
        """Finish what runs and close; an idle connection has half a second for a request that is on its way."""
        if self.closed:
            return
        if self._lingering:
            self._patience.linger_less()
            return
        self._exchange.drain()
        self._patience.drain()
        self._turn_soon()

    def abort(self) -> None:
        """Close at once, whatever is due."""
        if self.closed:
            return
        self.closed = True
        self._patience.close()
        self._site.tally.closed(Cell.CONNECTIONS)
        self._transport.close()
        self._out.clear()
        self.queued_bytes = 0
        self._site.buffered.forget(self)
        self._exchange.lost()
        self._on_closed(self)
        if not self._in_turn:
            self._drop()

    def _drop(self) -> None:
        # The last deed, once nothing of it runs any more. What it held goes now, since nothing that it consists of
        # refers back to it: Python's cyclic collector may not run for hours.
        self._exchange.drop()
        self._patience.drop()

    def _read(self) -> None:
        source = self._exchange.session.phase
        # Never more than this ahead of what is parsed; a WebSocket message is often a little over 64 KiB.
        limit = HIGH_WATER if self._exchange.conversation is None else 2 * HIGH_WATER
        if not self._lingering:
            limit = min(limit - source.buffered + source.due, _LARGEST_READ)
        data = self._transport.recv(limit)
        if data is None:
            return
        self.received += len(data)
        if not self._lingering:
            source.receive_data(data)
        elif not data:
            self.abort()

    def _keep_up(self, readable: bool) -> None:
        # Its turn comes when others have had theirs, and news is no way to get more of them.
        if readable:
            self._read()
        self._send()
        self._settle()

    def _answer(self) -> bool:
        # Reads where it waits for a request and for nothing else. The answer is often there at once, and has left at
        # once: then all is as it was before, but for the deadline of the next request. Tells whether it is so.
        data = self._transport.recv(HIGH_WATER)
        if data is None:
            return False
        self.received += len(data)
        self._in_turn = True
        try:
            answer = self._exchange.take(data)
        finally:
            self._in_turn = False
            if self.closed:
                self._drop()
        if self.closed:
            return True
        if answer is None or len(answer) > 1:
            self._at_rest = False
            for piece in answer or ():
                self._out.append(piece)
                self.queued_bytes += len(piece)
            return False
        self._out += answer
        self.queued_bytes = len(answer[0])
        departures = self._site.departures
        if departures is None or not departures.admit(self):
            self.depart()
        return True

    def depart(self) -> None:
        """Let the answer go that was made straight, unless a turn has come in between."""
        if self.closed or not (self._at_rest and self._out):
            return
        try:
            answer = self._out.pop()
            taken = self._transport.send(answer)
            self.sent += taken
            if taken < len(answer):
                self._out.append(answer[taken:])
                self.queued_bytes -= taken
                self._at_rest = False
                self._settle()
                return
            self.queued_bytes = 0
            if self._exchange.answered < 2:
                self._patience.answered()
        except BaseException as error:
            self._failed(error)

    def reconsider(self) -> None:
        """Take a turn soon: what all connections hold together is more than it may be, or no longer so."""
        self._turn_soon()

    # A turn.

    def _turn_soon(self) -> None:
        if self._in_turn:
            self._again = True
        elif not self._turn_due and not self.closed:
            self._turn_due = True
            self._site.call_soon(self._due_turn)

    def _turn_later(self) -> None:
        # There is more to do at once than others should wait for.
        if not self._turn_due and not self.closed:
            self._turn_due = self._yielded = True
            self._site.call_next_turn(self._due_turn)

    def _due_turn(self) -> None:
        self._turn_due = self._yielded = False
        self.handle(False, False)

    def turn(self) -> None:
        """Handle what is there, send what there is, and see what to wait for next."""
        self._in_turn = True
        try:
            if self._out or self._unsaid:
                self._send()
            self._has_more = False
            if not self._lingering:
                self._has_more = self._exchange.run(_EVENTS_A_TURN)
                if self._exchange.streaming:
                    self._has_more |= self._pull()
            # What is queued from here on (by a generator that waited for the queue to empty) is for the next turn.
            self._again = False
            if self._out or self._unsaid:
                self._send()
        finally:
            self._in_turn = False
            if self.closed:
                self._drop()
        if self.closed:
            return
        self._go_on()
        if self._again:
            self._turn_soon()
        if not self._is_at_ease():
            self._settle()

    def _go_on(self) -> None:
        # Asked behind whatever has sent. With more than this queued, room to write brings the next turn; with less the
        # transport need not be watched for room any more, and nothing else would bring it.
        if self._has_more and self.queued_bytes <= HIGH_WATER:
            self._turn_later()

    def _pull(self) -> bool:
        """Take pieces of a streamed body while there is room and time; tells whether there is more to do.

        If not, the body waits for something, and its ``moved`` brings the next turn.
        """
        answering = self._exchange.session.waiting is Waiting.ANSWER
        until = self._site.now() + _PULL_SECONDS
        full = False
        for _ in range(_PIECES_A_TURN):
            if not full:
                self._send()
                full = bool(self._out)  # the kernel takes no more in this turn
            if self.queued_bytes > HIGH_WATER:
                break
            if not self._exchange.pull():
                # Behind the end of a stream the next request may be here already.
                return answering and self._exchange.session.waiting is Waiting.IDLE
            # Each piece may take its handler long; others must be served in between.
            if self._site.now() >= until:
                break
        return True

    def _send(self) -> None:
        if self._out:
            self._hand_over()
            self._unsaid = True
        if self._unsaid and not self._out:
            self._unsaid = False
            self._exchange.sent()

    def _hand_over(self) -> None:
        out = self._out
        while out:
            # One system call for a head and a small body; a large one is not copied.
            chunk = out.pop() if len(out) == 1 else self._next_chunk()
            taken = self._transport.send_two(chunk, out[0]) if out else self._transport.send(chunk)
            self.sent += taken
            self.queued_bytes -= taken
            if taken < len(chunk):
                out.insert(0, memoryview(chunk)[taken:])
                return
            if taken > len(chunk):
                out[0] = memoryview(out[0])[taken - len(chunk) :]
                if not out[0]:
                    del out[0]

    def _next_chunk(self) -> bytes | memoryview:
        size = count = 0
        for chunk in self._out:
            size += len(chunk)
            if count and size > HIGH_WATER:
                break
            count += 1
        chunks = self._out[:count]
        del self._out[:count]
        return chunks[0] if count == 1 else b"".join(chunks)

    def _is_at_ease(self) -> bool:
        # An open WebSocket on which nothing is queued or half read waits for what it waited for before.
        websocket, conversation = self._exchange.session.websocket, self._exchange.conversation
        if websocket is None or conversation is None or not self.reading or self in self._site.buffered.holders:
            return False
        return websocket.at_ease and not self.queued_bytes and self._patience.resting and conversation.held <= AT_EASE

    def _settle(self) -> None:
        if self.closed:
            return
        phase, queued = self._exchange.session.phase, self.queued_bytes > 0
        if phase.waiting is _NOTHING and not queued and not self._lingering and not self._half_close():
            return
        if not self._lingering:
            self._patience.look()
        crowded = phase.buffered >= HIGH_WATER or (self.queued_bytes > HIGH_WATER and self.is_websocket)
        held = self._exchange.held + self.queued_bytes
        if held > AT_EASE or self in self._site.buffered.holders:
            crowded |= not self._has_room(held)
        reading = self._lingering or not (phase.peer_ended or crowded)
        resting = phase.waiting is _IDLE and not (queued or phase.buffered or self._turn_due)
        self._at_rest = resting and reading and not self._site.settings.debug
        if reading is not self.reading or queued is not self._writing:
            self.reading, self._writing = reading, queued
            self._transport.watch(reading, queued)

    def _has_room(self, held: int) -> bool:
        # Whether what all connections hold lets it read on: if not, a body is refused, and a WebSocket waits.
        buffered, exchange = self._site.buffered, self._exchange
        if not buffered.note(self, held) and exchange.session.waiting is _BODY:
            exchange.refuse_body()
            buffered.note(self, exchange.held + self.queued_bytes)
        conversation = exchange.conversation
        may_read = conversation is None or conversation.close_code is not None or buffered.may_read(self)
        self._patience.wait_for_room(buffered.is_waiting(self))
        return may_read

    # The end: a close() with unread input would send a reset, and the peer lose our last answer.

    def _half_close(self) -> bool:
        # Tells whether there is still something to wait for.
        self._transport.shutdown_write()
        if self._exchange.session.peer_ended:
            self.abort()
            return False
        self._lingering = True
        self._exchange.session.drop()  # what is here unparsed, and what comes, is looked at no more
        self._patience.linger()
        return True
