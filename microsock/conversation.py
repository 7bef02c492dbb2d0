"""One open WebSocket: frames become calls of its handler, and what the handler sends becomes frames.

A function is called once a message; a generator runs once a connection and is resumed when what it waits for is
there. Knows no socket and no selector.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, Protocol

from .errors import WebSocketClosed
from .protocol.events import CloseReceived
from .protocol.frames import Frames
from .request import Request
from .site import Site, SocketClosed, Timer, logger
from .waits import Flushed, Receive, Sleep, Wait, expect_wait
from .websocket import WebSocket
from .websocket_route import WebSocketRoute

__all__ = ["Conversation", "Wire"]

# How much of what came is parsed ahead of a generator that does not ask for it yet.
_MAX_INBOX = 16
_MAX_INBOX_SIZE = 64 << 10
# How often a generator goes on at once before others get their turn.
_MAX_STEPS = 64

_INTERNAL, _TRY_LATER = 1011, 1013

Resume = Callable[[], Wait]


class Wire(Protocol):
    """Where the bytes of an exchange go."""

    @property
    def queued_bytes(self) -> int:
        """Bytes that the kernel has not taken yet."""

    def write(self, chunks: list[bytes]) -> None:
        """Queue bytes; they leave at the end of the current turn."""


class Conversation:
    """Drives the handler of one WebSocket. It is the ``Link`` that the handler's ``WebSocket`` talks through."""

    def __init__(
        self,
        site: Site,
        frames: Frames,
        wire: Wire,
        route: WebSocketRoute[Any],
        request: Request,
        subprotocol: str | None,
    ) -> None:
        self.id = site.new_id()
        self.socket = WebSocket(self, request, request.params, subprotocol)
        self._site = site
        self._frames = frames
        self._wire = wire
        self._route = route
        self._request = request
        self._opened = site.now()
        self._received = self._sent = 0
        self._running = False
        self._end: CloseReceived | None = None
        self._generator: Generator[Wait, Any, None] | None = None
        self._wait: Wait | None = None
        self._timer: Timer | None = None
        self._inbox: deque[str | bytes] = deque()
        self._inbox_size = 0
        self._told = False  # the generator that it is over

    # What the exchange calls.

    def open(self) -> None:
        """Run ``on_open`` and start a generator; to be called once the 101 is on its way."""
        self._site.add(self)
        if self._route.hooks.open is not None:
            self._call(partial(self._route.hooks.open, self.socket, **self._request.params))
        if self._route.is_generator and self.close_code is None:
            generator = self._route.handler(self.socket, **self._request.params)
            self._generator = generator
            self._go_on(partial(next, generator))

    @property
    def full(self) -> bool:
        """Whether to stop parsing: the generator has enough to read already."""
        return len(self._inbox) >= _MAX_INBOX or self._inbox_size >= _MAX_INBOX_SIZE

    def message(self, data: str | bytes) -> None:
        """A message came."""
        self._received += 1
        if self._route.is_generator:
            self._queue(data)
        elif self.close_code is None:
            self._call_function(data)

    def ended(self, end: CloseReceived) -> None:
        """The talk is over, by whichever end; the handler is told, once."""
        if self._end is not None:
            return
        self._end = end
        self._site.discard(self)
        if not self._running:
            self._tell_end()
        if self._route.hooks.close is not None:
            self._call(partial(self._route.hooks.close, self.socket, end.code, end.reason))
        self._log(end.code)

    def drained(self) -> None:
        """All that was queued has left."""
        if isinstance(self._wait, Flushed):
            self._unpark(None)

    # What the handler's WebSocket calls.

    @property
    def queued_bytes(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return self._wire.queued_bytes

    @property
    def close_code(self) -> int | None:
        """The code the connection closed with or is closing with; None while it is open."""
        return self._end.code if self._end is not None else self._frames.close_sent

    def send(self, data: str | bytes) -> None:
        """Send a message. An answer is never dropped; from outside the handler it counts as pushed."""
        if self.close_code is not None:
            raise WebSocketClosed(self.close_code, "the WebSocket is closed", by_peer=self._by_peer)
        if self._running or self._has_room(len(data)):
            self._sent += 1
            self._frames.send_message(data)
            self._flush()

    def push(self, frame: bytes) -> None:
        """Send a frame that goes to many. Past ``max_queued_bytes`` the app's ``slow_reader`` policy decides."""
        if self.close_code is None and self._has_room(len(frame)):
            self._sent += 1
            self._frames.send_frame(frame)
            self._flush()

    def ping(self, payload: bytes) -> None:
        """Send a Ping; nothing once the connection is closing."""
        if self.close_code is None:
            self._frames.ping(payload)
            self._flush()

    def close(self, code: int, reason: str) -> None:
        """Start the close handshake, once."""
        if self.close_code is None:
            self._clear_inbox()
            self._frames.close(code, reason)
            self._flush()

    def subscribe(self, topic: str) -> None:
        """Follow a topic until the connection closes."""
        if self._end is None:
            self._site.topics.subscribe(topic, self)

    def unsubscribe(self, topic: str) -> None:
        """Follow a topic no more."""
        self._site.topics.unsubscribe(topic, self)

    @property
    def _by_peer(self) -> bool:
        return self._end is not None and self._end.by_peer

    def _has_room(self, size: int) -> bool:
        # One message always fits, however large.
        queued = self._wire.queued_bytes
        if not queued or queued + size <= self._site.settings.max_queued_bytes:
            return True
        if self._site.settings.slow_reader == "drop":
            self._site.dropped += 1
        else:
            self.close(_TRY_LATER, "too slow a reader")
        return False

    def _flush(self) -> None:
        self._wire.write(self._frames.data_to_send())

    # A function, once a message.

    def _call_function(self, data: str | bytes) -> None:
        try:
            value = self._route.read(data)
        except WebSocketClosed as error:
            # A wrong type is the peer's fault: closed with its code, no traceback.
            self.close(error.code, error.reason)
            return
        self._call(partial(self._route.handler, self.socket, value, **self._request.params), replies=True)

    def _call(self, function: Callable[[], Any], replies: bool = False) -> None:
        running, self._running = self._running, True
        try:
            value = function()
            if replies and value is not None and self.close_code is None:
                self.socket.send(value)
        except WebSocketClosed:
            pass  # the handler sent after the end: for a handler that is the end
        except Exception as error:
            self._failed(error)
        finally:
            self._running = running

    def _failed(self, error: Exception) -> None:
        logger.exception("error in WebSocket handler %r", self._route.name)
        keep = False
        if self._route.hooks.error is not None:
            try:
                keep = self._route.hooks.error(self.socket, error) is True
            except Exception:
                logger.exception("error in on_error of WebSocket handler %r", self._route.name)
        if not keep or self._route.is_generator:
            self.close(_INTERNAL, "internal error")

    # A generator, once a connection.

    def _queue(self, data: str | bytes) -> None:
        if self._generator is None:
            return  # it has returned, and with it went whoever would read this
        if isinstance(self._wait, Receive):
            self._unpark(data)
        else:
            self._inbox.append(data)
            self._inbox_size += len(data)

    def _go_on(self, resume: Resume | None) -> None:
        for _ in range(_MAX_STEPS):
            if resume is None:
                return
            resume = self._step(resume)
        if resume is not None:
            self._timer = self._site.call_at(self._site.now(), partial(self._go_on, resume))

    def _step(self, resume: Resume) -> Resume | None:
        # One run of the generator up to its next verb; gives how to go on, or None if it has to wait.
        assert self._generator is not None
        self._running = True
        try:
            wait = resume()
        except StopIteration:
            self._over(1000)
        except WebSocketClosed:
            self._over(1000)
        except Exception as error:
            self._generator = None
            self._failed(error)
        else:
            return self._after(wait)
        finally:
            self._running = False
        return None

    def _after(self, wait: Wait) -> Resume | None:
        generator = self._generator
        assert generator is not None
        self._wait = None
        try:
            expect_wait(wait, self._route.name)
        except TypeError as error:
            return partial(generator.throw, error)
        if isinstance(wait, Receive) and self._inbox:
            data = self._inbox.popleft()
            self._inbox_size -= len(data)
            return partial(generator.send, data)
        if self._end is not None or (isinstance(wait, Receive) and self.close_code is not None):
            return self._refuse_to_wait(generator)
        if isinstance(wait, Flushed) and not self._wire.queued_bytes:
            return partial(generator.send, None)
        self._park(wait)
        return None

    def _park(self, wait: Wait) -> None:
        self._wait = wait
        if isinstance(wait, Receive):
            self._wire.write([])  # there is room for messages again, and some may be here unparsed
        now = self._site.now()
        if isinstance(wait, Sleep):
            self._timer = self._site.call_at(now + wait.seconds, partial(self._unpark, None))
        elif isinstance(wait, Receive) and wait.timeout is not None:
            self._timer = self._site.call_at(now + wait.timeout, self._time_out)

    def _unpark(self, value: object) -> None:
        if self._generator is not None:
            self._stop_waiting()
            self._go_on(partial(self._generator.send, value))

    def _time_out(self) -> None:
        if self._generator is not None:
            self._stop_waiting()
            self._go_on(partial(self._generator.throw, TimeoutError("no message in time")))

    def _stop_waiting(self) -> None:
        self._wait = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tell_end(self) -> None:
        # A generator that is to go on anyway finds out at its next wait.
        if self._generator is None or self._wait is None:
            return
        if isinstance(self._wait, Flushed) and self._inbox:
            self._unpark(None)  # what came before the end is still to be read
            return
        self._stop_waiting()
        self._go_on(self._refuse_to_wait(self._generator))

    def _refuse_to_wait(self, generator: Generator[Wait, Any, None]) -> Resume | None:
        # Told once that it is over; one that catches it and waits again is closed.
        if self._told:
            self._close_generator(generator)
            return None
        self._told = True
        code = self.close_code or 1006
        reason = self._end.reason if self._end is not None else ""
        return partial(generator.throw, WebSocketClosed(code, reason, self._by_peer))

    def _close_generator(self, generator: Generator[Wait, Any, None]) -> None:
        self._generator = None
        try:
            generator.close()
        except Exception as error:
            self._failed(error)

    def _over(self, code: int) -> None:
        self._generator = None
        self._clear_inbox()
        self.close(code, "")

    def _clear_inbox(self) -> None:
        self._inbox.clear()
        self._inbox_size = 0

    def _log(self, code: int) -> None:
        if self._site.access is not None:
            seconds = self._site.now() - self._opened
            client, path = self._request.client.host, self._request.raw_path
            self._site.access(SocketClosed(client, path, code, seconds, self._received, self._sent))
