"""The handler of one WebSocket that is a generator: run once, and resumed when what it waits for is there.

Knows the connection only as a ``Talk``; timers and threads as the site hands them out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, Protocol

from .cleanup import Cleanup
from .errors import Overloaded, WebSocketClosed
from .failures import reraise_if_fatal
from .protocol.events import CloseReceived
from .site import Call, Site, Timer
from .waits import Blocking, Flushed, Receive, Sleep, Wait, expect_wait

__all__ = ["Script", "Talk"]

# How much of what came is parsed ahead of a generator that does not ask for it yet.
_MAX_INBOX = 16
_MAX_INBOX_SIZE = 64 << 10
# How often a generator goes on at once before others get their turn.
_MAX_STEPS = 64

Resume = Callable[[], Wait]


class Talk(Protocol):
    """What a script needs of its connection."""

    running: bool
    """Whether the handler runs right now."""
    id: str
    """The WebSocket's."""

    @property
    def queued_bytes(self) -> int:
        """Bytes that the kernel has not taken yet."""
        ...

    @property
    def close_code(self) -> int | None:
        """The code of the close, by whichever side; None while it is open."""
        ...

    @property
    def over(self) -> CloseReceived | None:
        """How the talk ended; None while it goes on."""
        ...

    def read_on(self) -> None:
        """There is room for messages again, and some may be here unparsed."""

    def script_ended(self, error: BaseException | None, value: object = None) -> None:
        """The generator has returned a value, or raised."""


class Script:
    """Drives one generator. Call ``start`` once; then tell it what happens."""

    __slots__ = ("_call", "_generator", "_inbox", "_inbox_size", "_name", "_site", "_talk", "_timer", "_wait")

    def __init__(self, site: Site, talk: Talk, generator: Generator[Wait, Any, Any], name: str) -> None:
        self._site = site
        self._talk = talk
        self._generator: Generator[Wait, Any, Any] | None = generator
        self._name = name
        self._wait: Wait | None = None
        self._timer: Timer | None = None
        self._call: Call | None = None
        self._inbox: deque[str | bytes] = deque()
        self._inbox_size = 0

    def start(self) -> None:
        """Run up to the first wait."""
        if self._generator is not None:
            self._go_on(partial(next, self._generator))

    @property
    def full(self) -> bool:
        """Whether to stop parsing: it has enough to read already."""
        return len(self._inbox) >= _MAX_INBOX or self._inbox_size >= _MAX_INBOX_SIZE

    @property
    def held(self) -> int:
        """Bytes of messages that it has not asked for yet."""
        return self._inbox_size

    @property
    def calling(self) -> bool:
        """Whether another thread works for it, which may send in its name."""
        return self._call is not None

    def receive(self, data: str | bytes) -> None:
        """A message came."""
        if self._generator is None:
            return  # it has returned, and with it went whoever would read this
        if isinstance(self._wait, Receive):
            self._unpark(data)
        else:
            self._inbox.append(data)
            self._inbox_size += len(data)

    def drained(self) -> None:
        """All that was queued has left."""
        if isinstance(self._wait, Flushed):
            self._unpark(None)

    def tell_end(self) -> None:
        """The talk is over; one that is to go on anyway finds out at its next wait."""
        if self._generator is None or self._wait is None:
            return
        if self._is_worth_going_on(self._wait):
            self._unpark(None)
        else:
            self._stop_waiting()
            self._clean_up(self._generator)

    def clear(self) -> None:
        """Forget what came and is not read yet."""
        self._inbox.clear()
        self._inbox_size = 0

    # One step after the other.

    def _go_on(self, resume: Resume | None) -> None:
        for _ in range(_MAX_STEPS):
            if resume is None:
                return
            resume = self._step(resume)
        if resume is not None:
            self._timer = self._site.call_at(self._site.now(), partial(self._go_on, resume))

    def _step(self, resume: Resume) -> Resume | None:
        # One run of the generator up to its next verb; gives how to go on, or None if it has to wait.
        self._talk.running = True
        try:
            wait = resume()
        except StopIteration as returned:
            self._finish(None, returned.value)
        except BaseException as error:
            reraise_if_fatal(error)
            self._finish(error)
        else:
            return self._after(wait)
        finally:
            self._talk.running = False
            if self._generator is None:
                _forget_traceback(resume)
            # An error that is thrown has a traceback, which holds this frame and those that called it. Held by one of
            # them, it would be part of a cycle.
            del resume
        return None

    def _finish(self, error: BaseException | None, value: object = None) -> None:
        self._generator = None
        self.clear()
        self._talk.script_ended(error, value)

    def _after(self, wait: Wait) -> Resume | None:
        generator = self._generator
        assert generator is not None
        self._wait = None
        try:
            expect_wait(wait, self._name)
        except TypeError as error:
            return partial(generator.throw, error)
        if isinstance(wait, Receive) and self._inbox:
            data = self._inbox.popleft()
            self._inbox_size -= len(data)
            return partial(generator.send, data)
        if self._is_worth_going_on(wait):
            return partial(generator.send, None)
        if self._talk.over is not None or (isinstance(wait, Receive) and self._talk.close_code is not None):
            self._clean_up(generator)
            return None
        if isinstance(wait, Flushed) and not self._talk.queued_bytes:
            return partial(generator.send, None)
        return self._park(wait, generator)

    def _is_worth_going_on(self, wait: Wait) -> bool:
        # Nothing leaves any more behind the end, but what came before it is still to be read.
        return isinstance(wait, Flushed) and self._talk.over is not None and bool(self._inbox)

    # Waits.

    def _park(self, wait: Wait, generator: Generator[Wait, Any, Any]) -> Resume | None:
        now = self._site.now()
        if isinstance(wait, Blocking):
            try:
                self._call = self._site.executor.submit(wait.call, self._answered)
            except Overloaded as error:
                return partial(generator.throw, error)
        elif isinstance(wait, Sleep):
            self._timer = self._site.call_at(now + wait.seconds, partial(self._unpark, None))
        elif isinstance(wait, Receive):
            self._talk.read_on()
            if wait.timeout is not None:
                self._timer = self._site.call_at(now + wait.timeout, self._time_out)
        self._wait = wait
        return None

    def _unpark(self, value: object) -> None:
        if self._generator is not None:
            self._stop_waiting()
            self._go_on(partial(self._generator.send, value))

    def _throw(self, error: Exception) -> None:
        try:
            if self._generator is not None:
                self._stop_waiting()
                self._go_on(partial(self._generator.throw, error))
        finally:
            del error  # as in _step

    def _time_out(self) -> None:
        self._throw(TimeoutError("no message in time"))

    def _answered(self, value: object, error: Exception | None) -> None:
        try:
            if error is None:
                self._unpark(value)
            else:
                self._throw(error)
        finally:
            del error  # as in _step

    def _stop_waiting(self) -> None:
        waits = (self._timer, self._call)
        self._wait = self._timer = self._call = None
        for wait in waits:
            if wait is not None:
                wait.cancel()

    # The end.

    def _clean_up(self, generator: Generator[Wait, Any, Any]) -> None:
        # From here on it runs without us; what it may still read goes along.
        over, code = self._talk.over, self._talk.close_code or 1006
        reason, by_peer = ("", False) if over is None else (over.reason, over.by_peer)
        self._generator = None
        inbox, self._inbox, self._inbox_size = self._inbox, deque(), 0
        cleanup = Cleanup(self._site, generator, self._name, self._talk.script_ended, inbox)
        cleanup.run(WebSocketClosed(code, reason, by_peer, websocket_id=self._talk.id))


def _forget_traceback(resume: Resume) -> None:
    # An error that was thrown into a generator is told and over. Its traceback has the frames of all that called us,
    # and they have the error: each would keep the other, and with it the connection.
    for thrown in resume.args if isinstance(resume, partial) else ():
        if isinstance(thrown, BaseException):
            thrown.__traceback__ = None
