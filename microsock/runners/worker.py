"""What a preforked worker does: load the app, serve it, tell the parent how that goes and do what the parent says.

Knows its parent only as the other end of a channel.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
from collections.abc import Callable, Sequence

from .. import forked
from ..adapters.channel import Channel, framed
from ..adapters.ending import allow
from ..app import App
from ..errors import SetupError
from ..log import logger
from ..server.after_fork import let_go_in_children
from ..server.binding import Bound
from ..server.dump import dump
from ..server.loop import Loop
from ..server.parts import Parts
from ..server.service import Service
from ..server.signals import caught_signals
from ..settings import Settings, from_environment
from ..site import Site
from ..startup import NamedTuple
from ..worker_bus import WorkerBus
from . import words
from .console import console, reopen_logs, summary
from .forking import Seat
from .household import Failure, Ready
from .protocol import Task

__all__ = ["Life", "work"]

_APP_FAILED = 3
_BEAT_SECONDS = 1.0
# For the parent to take what is said last; it takes it at once, unless it hangs.
_LAST_WORDS_SECONDS = 1.0
# The parent has done what these are for before there was an app.
_OF_THE_PARENT = (
    "backlog", "reuse_port", "workers", "worker_timeout", "pid_file", "control", "log_config", "bus",
    "rate_limit_store", "tls_timeout", "ssl_certfile", "ssl_keyfile", "ssl_keyfile_password", "ssl_ca_certs",
)  # fmt: skip


class Life(NamedTuple):
    """What tells this run of the server from others, the same for all its workers.

    Fields:
        birth: in every event id.
        epoch: since when the jobs that run in one worker of all are counted, on the clock of the loops.
    """

    birth: str
    epoch: float


def work(task: Task, bound: Sequence[Bound], parts: Parts, life: Life, seat: Seat, *, quiet: bool = False) -> int:
    """Serve until the parent says otherwise, or is gone; gives the exit status."""
    try:
        app = task.load()
        settings, warnings = _settings(task, app)
    except SetupError as error:
        return _failed(task, seat, error)
    with contextlib.nullcontext() if quiet else console(settings):
        return _Worker(app, settings, warnings, bound, parts, life, seat).run(task.explain)


class _Worker:
    """One worker, once its app is there."""

    def __init__(
        self,
        app: App,
        settings: Settings,
        warnings: list[str],
        bound: Sequence[Bound],
        parts: Parts,
        life: Life,
        seat: Seat,
    ) -> None:
        self._settings = settings
        self._warnings = warnings
        self._seat = seat
        self._life = life
        self._bus: WorkerBus | None = None
        self._signalled = False
        parts = parts._replace(worker=seat.number, workers=seat.workers, bus=self._make_bus)
        self.service = Service(app, settings, bound, parts)
        loop = self.service.loop
        self._channel = Channel(
            seat.sock, loop, received=self._told, closed=self.service.stop_at_once, peer="the parent"
        )
        if settings.max_requests is not None:
            most = settings.max_requests + random.randrange(settings.max_requests_jitter + 1)
            self.service.site.count_request = _Countdown(most, self._replace)
        self._does: dict[bytes, Callable[[], object]] = {
            words.STOP: self._stop,
            words.LEAVE: self._leave,
            words.DUMP: self._dump,
            words.REOPEN: reopen_logs,
        }

    def run(self, explain: Callable[[BaseException], str]) -> int:
        """Serve; gives the exit status."""
        service = self.service
        service.loop.call_soon(self._opened)
        let_go_in_children(self, _Worker._leave_to_parent)
        with caught_signals({signal.SIGTERM: self._asked}, service.loop.signal_fileno()):
            try:
                while not service.finished:
                    if self._signalled:
                        self._heed()
                    service.step(None)
            except SetupError as error:
                self._send(_failure(error, explain))
                return _APP_FAILED
            except BaseException as error:
                forked.came_back(error)
                raise
            finally:
                self._allow_time()
                # What was published last, in stop hooks too, is for the others.
                self._channel.close(_LAST_WORDS_SECONDS)
                service.loop.close()
        return 0

    def _allow_time(self) -> None:
        # For the threads and jobs of the app. Who leaves has all of it, since nobody waits for that.
        cut_at = self.service.cut_at
        allow(self._settings.grace if cut_at is None else cut_at - self.service.loop.timers.now())

    def _leave_to_parent(self) -> None:
        self.service.leave_to_parent()
        self._channel.forget()

    def _make_bus(self, site: Site, loop: Loop) -> WorkerBus:
        self._bus = WorkerBus(site, self._send, birth=self._life.birth, epoch=self._life.epoch)
        return self._bus

    def _send(self, message: bytes) -> bool:
        return self._channel.send(message)

    # What it tells.

    def _opened(self) -> None:
        if self._bus is None:
            self._ready()
        else:
            self._bus.when_ready(self._ready)

    def _ready(self) -> None:
        ready = Ready(summary(self.service.site.app), self._settings.grace, self._warnings)
        self._send(words.READY + json.dumps(ready._asdict()).encode())
        self._beat()

    def _beat(self) -> None:
        self._send(words.HEARTBEAT)
        timers = self.service.loop.timers
        timers.call_at(timers.now() + min(_BEAT_SECONDS, self._settings.worker_timeout / 4), self._beat)

    def _replace(self) -> None:
        self._send(words.REPLACE)

    # What it is told.

    def _told(self, message: bytes) -> None:
        if words.is_for_the_bus(message):
            if self._bus is not None:
                self._bus.receive(message)
        elif message in self._does:
            self._does[message]()
        else:
            raise ValueError(f"no word of the parent: {message!r:.60}")

    def _stop(self) -> None:
        self.service.ask_to_stop(self._settings.grace)

    def _leave(self) -> None:
        self.service.leave(self._settings.grace)

    def _dump(self) -> None:
        logger.warning("%s", dump(self.service))

    def _asked(self, signum: int) -> None:
        self._signalled = True
        # Whether it is to stop or to leave, what is answered now is the last on its connection.
        self.service.site.ending = True
        self.service.loop.wake()

    def _heed(self) -> None:
        # The parent's word counts for more, and is here before its signal: who is to leave does not end the server.
        self._signalled = False
        left = self.service.site.leaving
        self._channel.read_out()
        if left or not self.service.site.leaving:
            self.service.ask_to_stop(self._settings.grace)


class _Countdown:
    """Calls a function at the last of so many calls, once."""

    def __init__(self, count: int, function: Callable[[], object]) -> None:
        self._left = count
        self._function = function

    def __call__(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._function()


def _settings(task: Task, app: App) -> tuple[Settings, list[str]]:
    # What the parent went by is what holds.
    parents, own = task.settings(), task.settings(app)
    stronger = {**task.keywords, **from_environment(os.environ), **task.flags}
    warnings = [
        f"the app's own {name}={app.settings_given[name]!r} comes too late for preforked workers; give it as a flag "
        f"or as MICROSOCK_{name.upper()} (in use: {getattr(parents, name)!r})"
        for name in _OF_THE_PARENT
        if name in app.settings_given and name not in stronger and getattr(own, name) != getattr(parents, name)
    ]
    return own._replace(**{name: getattr(parents, name) for name in _OF_THE_PARENT}), warnings


def _failed(task: Task, seat: Seat, error: SetupError) -> int:
    with contextlib.suppress(OSError):  # a parent that is gone need not know
        seat.sock.setblocking(True)
        seat.sock.sendall(framed(_failure(error, task.explain)))
    return _APP_FAILED


def _failure(error: SetupError, explain: Callable[[BaseException], str]) -> bytes:
    details = explain(error.__cause__) if error.__cause__ else ""
    return words.FAILED + json.dumps(Failure(str(error), details)._asdict()).encode()
