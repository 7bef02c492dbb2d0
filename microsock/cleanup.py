"""The clean-up of a generator handler whose peer has gone: its ``except`` and ``finally`` blocks, which may still wait.

What needs no peer works there, ``sleep`` and ``blocking``, for ``close_timeout`` in all. Who waits for the peer again
is closed. Knows no connection; timers and threads as the site hands them out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

from .errors import Overloaded
from .failures import reraise_if_fatal
from .log import logger
from .site import Call, Site, Timer
from .waits import Blocking, Flushed, Receive, Sleep, expect_wait

__all__ = ["Cleanup"]

# How often a generator goes on at once before others get their turn.
_MAX_STEPS = 64
# How often one is closed that is cut: each of its finally blocks may wait.
_MAX_CLOSES = 100

Resume = Callable[[], object]


class Cleanup:
    """Runs one generator to its end. Call ``run`` once.

    Args:
        site: whose timers, threads and ``close_timeout``; it cuts what is left when it stops.
        generator: suspended at a wait or at what it has yielded.
        name: the handler's.
        ended: called once, with what the generator raised, or None.
        inbox: messages that came before the end, which it may still read.
    """

    __slots__ = (
        "_call",
        "_closing",
        "_deadline",
        "_ended",
        "_generator",
        "_inbox",
        "_name",
        "_site",
        "_timer",
        "_until",
    )

    def __init__(
        self,
        site: Site,
        generator: Generator[Any, Any, Any],
        name: str,
        ended: Callable[[BaseException | None], None],
        inbox: deque[str | bytes] | None = None,
    ) -> None:
        self._site = site
        self._generator = generator
        self._name = name
        self._ended: Callable[[BaseException | None], None] | None = ended
        self._inbox = inbox or deque()
        self._until = site.now() + site.settings.close_timeout
        self._deadline: Timer | None = None  # from the first wait on
        self._timer: Timer | None = None
        self._call: Call | None = None
        self._closing = False  # whether GeneratorExit was thrown

    def run(self, error: BaseException) -> None:
        """Throw ``error`` at the place where the generator waits, and see it to its end."""
        self._closing = isinstance(error, GeneratorExit)
        try:
            self._go_on(partial(self._generator.throw, error))
        finally:
            del error  # as in _step

    def cut(self) -> None:
        """Wait no longer: close it now. A line in the log names the handler."""
        if self._ended is None:
            return
        logger.warning("handler %r still waited after its client had gone; it was cut", self._name)
        self._stop_waiting()
        self._end(self._closed())

    # One step after the other.

    def _go_on(self, resume: Resume | None) -> None:
        self._timer = None
        for _ in range(_MAX_STEPS):
            if resume is None:
                return
            resume = self._step(resume)
        if resume is not None:
            self._park(self._site.now(), resume)

    def _step(self, resume: Resume) -> Resume | None:
        try:
            wait = resume()
        except StopIteration:
            self._end(None)
        except BaseException as error:
            reraise_if_fatal(error)
            self._end(None if self._closing and type(error) is GeneratorExit else error)
        else:
            return self._after(wait)
        finally:
            # An error that is thrown has a traceback, which holds this frame and those that called it. Held by one of
            # them, it would be part of a cycle.
            del resume
        return None

    def _after(self, wait: object) -> Resume | None:
        if isinstance(wait, Sleep):
            self._park(self._site.now() + wait.seconds, partial(self._generator.send, None))
            return None
        if isinstance(wait, Blocking):
            return self._submit(wait)
        if self._closing:
            self._end(self._closed() or RuntimeError("generator ignored GeneratorExit"))
            return None
        return self._after_peers_wait(wait)

    def _after_peers_wait(self, wait: object) -> Resume | None:
        try:
            expect_wait(wait, self._name)
        except TypeError as error:
            return partial(self._generator.throw, error)
        # Nothing leaves any more, but what came before the end is still to be read.
        if self._inbox and isinstance(wait, (Receive, Flushed)):
            return partial(self._generator.send, self._inbox.popleft() if isinstance(wait, Receive) else None)
        self._closing = True
        return partial(self._generator.throw, GeneratorExit())

    def _closed(self) -> BaseException | None:
        # Gives what it raised. Each close ends one block that waits.
        found: BaseException | None = None
        for _ in range(_MAX_CLOSES):
            try:
                self._generator.close()
                found = None
            except BaseException as error:
                reraise_if_fatal(error)
                found = error
            if getattr(self._generator, "gi_frame", None) is None:
                break
        return found

    # Waits.

    def _park(self, when: float, resume: Resume) -> None:
        self._keep()
        self._timer = self._site.call_at(when, partial(self._go_on, resume))

    def _submit(self, wait: Blocking) -> Resume | None:
        try:
            self._call = self._site.executor.submit(wait.call, self._answered)
        except Overloaded as error:
            return partial(self._generator.throw, error)
        self._keep()
        return None

    def _answered(self, value: object, error: Exception | None) -> None:
        self._call = None
        try:
            go_on = partial(self._generator.send, value) if error is None else partial(self._generator.throw, error)
            self._go_on(go_on)
        finally:
            del go_on, error  # as in _step

    def _keep(self) -> None:
        if self._deadline is None:
            self._deadline = self._site.call_at(self._until, self.cut)
            self._site.cleanups[self] = None

    def _stop_waiting(self) -> None:
        waits = (self._timer, self._call)
        self._timer = self._call = None
        for wait in waits:
            if wait is not None:
                wait.cancel()

    def _end(self, error: BaseException | None) -> None:
        ended, self._ended = self._ended, None
        if self._deadline is not None:
            self._deadline.cancel()
            self._site.cleaned_up(self)
        if ended is not None:
            ended(error)
