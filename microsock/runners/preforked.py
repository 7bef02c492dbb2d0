"""The runner for many processes: a parent that binds, forks workers and carries what they publish from one to another.

The parent does not import the app, unless whoever started it had the app already.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Sequence
from functools import partial

from ..adapters.control import ControlServer, open_control
from ..adapters.pidfile import pid_file
from ..adapters.redis_bus import RedisLink
from ..adapters.redis_client import redis_place
from ..app import App
from ..errors import SetupError
from ..log import logger
from ..relay import Relay
from ..server import spare
from ..server.binding import Bound, bind_all
from ..server.certificates import Certificates
from ..server.elsewhere import check_places
from ..server.loop import Loop
from ..server.parts import Parts
from ..server.signals import catch_signals_early
from ..server.systemd import Notifier
from ..settings import Settings
from ..status import Standing, report
from ..websocket import checked_topic
from .bridging import BridgeProcess
from .console import console, reopen_logs, say, say_stopping, write_banner
from .forking import Seat
from .household import Failure, Household, Ready
from .protocol import Task
from .supervisor import NO_WORKER, Supervisor
from .worker import Life, work

__all__ = ["Preforked", "capacity_for", "count_of", "run_workers", "serve"]

# Fewer would not be simultaneous.
_AT_LEAST = 2


class Preforked:
    """``--runner preforked``: as many workers as the setting says."""

    def run(self, task: Task) -> int:
        """See ``Runner``. Raises ``BadSetting``, ``BindError`` and ``PortInUseError``, before anything is forked."""
        with catch_signals_early():
            settings = task.settings()
            check_places(settings)
            bound = bind_all(task.binds, settings, port=task.port)
            return serve(task, settings, bound)


def run_workers(
    app: App, settings: Settings, bound: Sequence[Bound], running: Callable[[Callable[[float], object]], object]
) -> None:
    """``Server.run(simultaneous=True)``: fork workers here, without a word on the terminal.

    Args:
        app: what they serve.
        settings: of the server.
        bound: what they listen on; closed at the end.
        running: told how to stop them: by the seconds they have to drain; from any thread.

    Raises ``SetupError`` if no worker begins, ``KeyboardInterrupt`` at a second SIGINT.
    """
    if count_of(settings.workers) < _AT_LEAST:
        settings = settings._replace(workers=_AT_LEAST)
    task = Task(lambda: app, flags=settings._asdict(), app=app)
    status, failure = _serve(task, settings, bound, quiet=True, running=running)
    if failure is not None:
        raise SetupError("\n".join(filter(None, failure)))
    if status:
        raise KeyboardInterrupt


def serve(task: Task, settings: Settings, bound: Sequence[Bound]) -> int:
    """Serve on sockets that listen already, which are closed at the end; gives the exit status."""
    status, failure = _serve(task, settings, bound)
    if failure is not None:
        say(*filter(None, [f"error: {failure.message}", failure.details]))
    return status


def _serve(
    task: Task,
    settings: Settings,
    bound: Sequence[Bound],
    *,
    quiet: bool = False,
    running: Callable[[Callable[[float], object]], object] = lambda stop: None,
) -> tuple[int, Failure | None]:
    with contextlib.ExitStack() as at_end:
        for each in bound:
            at_end.callback(each.close)
        logs = at_end.enter_context(contextlib.ExitStack())
        if not quiet:
            logs.enter_context(console(settings))
            at_end.enter_context(pid_file(settings.pid_file))
        house = _House(task, settings, bound, logs, quiet)
        at_end.callback(house.close)
        running(house.stop_within)
        status = house.supervisor.run()
    return status, house.supervisor.failure if status == NO_WORKER else None


def count_of(workers: int | str) -> int:
    """How many workers a setting asks for; ``auto`` is one for each processor that this process may use."""
    if isinstance(workers, int):
        return workers
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def capacity_for(workers: int) -> int:
    """How many processes there may be at once: twice as many workers, and those that are still leaving."""
    return 4 * workers + 16


class _House(Household):
    """What the parent has beside its workers: the bus, the figures, the control socket and the banner."""

    def __init__(
        self, task: Task, settings: Settings, bound: Sequence[Bound], logs: contextlib.ExitStack, quiet: bool
    ) -> None:
        workers = count_of(settings.workers)
        capacity = capacity_for(workers)
        # The workers have it from here, and share its memory.
        spare.load(websockets=True)
        self._task = task
        self._bound = bound
        self._urls = [each.url for each in bound]
        self._logs = logs
        self._quiet = quiet
        self._notifier = Notifier()
        self._slots: dict[int, int] = {}
        self.loop = Loop()
        self.parts = Parts.for_workers(settings, capacity)
        self.life = Life(secrets.token_hex(4), self.loop.timers.now())
        self.supervisor = Supervisor(
            self._work,
            workers=workers,
            capacity=capacity,
            timeout=settings.worker_timeout,
            grace=settings.grace,
            loop=self.loop,
            sockets=bound,
            household=self,
            same_code=task.app is not None,
        )
        self.relay = Relay(self.life.birth, self.supervisor.send, overrun=self._overrun)
        self._control = self._listen_for_commands(settings)
        self._bridge = BridgeProcess(self._release_bridge)
        self._link: RedisLink | None = None  # while the bridge is forked
        self._link = self._link_to_others(settings)

    def close(self) -> None:
        """Close what is the parent's alone."""
        if self._control is not None:
            self._control.close()
        if self._link is not None:
            self._link.close()
            self._bridge.close()
        self.loop.close()
        self.parts.close()

    def stop_within(self, seconds: float) -> None:
        """Have the workers drain; from any thread."""
        self.supervisor.note(partial(self.supervisor.stop, within=seconds))

    def _link_to_others(self, settings: Settings) -> RedisLink | None:
        if settings.bus is None:
            return None
        return RedisLink(self.relay, self.loop, redis_place("bus", settings.bus), self._bridge.start)

    def _release_bridge(self) -> None:
        for each in self._bound:
            each.sock.close()
        self.release()

    def _work(self, seat: Seat) -> int:
        parts = self.parts._replace(slot=self._slots[seat.number])
        return work(self._task, self._bound, parts, self.life, seat, quiet=self._quiet)

    def _overrun(self, number: int) -> None:
        self.supervisor.overrun(number)

    def _listen_for_commands(self, settings: Settings) -> ControlServer | None:
        port = next((each.address.port for each in self._bound if each.address.port), 0)
        return open_control(settings, port, self.loop, self, by_default=not self._quiet)

    # What happens to workers.

    def begins(self, number: int) -> None:
        """It has a slot for its figures."""
        if self.parts.board is not None:
            self._slots[number] = self.parts.board.claim(number)

    def started(self, ready: Ready) -> None:
        """The banner's first line needs what only a worker knows: the app."""
        workers = self.supervisor.roster.wanted
        how = f"preforked, {workers} worker{'' if workers == 1 else 's'}"
        if not self._quiet:
            write_banner([self._task.name, ready.summary, how], self._urls)
        self._notifier.ready()
        if self._notifier.watchdog_seconds is not None:
            self._feed_watchdog(self._notifier.watchdog_seconds)

    def received(self, number: int, message: bytes) -> None:
        """It is for the other workers."""
        self.relay.receive(number, message)

    def dismissed(self, number: int) -> None:
        """It leads no longer."""
        self.relay.retire(number)

    def ended(self, number: int, restarts: bool) -> None:
        """What it counted is the past's."""
        self.relay.leave(number)
        if self.parts.board is not None:
            self.parts.board.release(self._slots.pop(number, -1))
            if restarts:
                self.parts.board.restarted()

    def reloading(self) -> None:
        """Tell systemd; certificates are read anew, for the workers to come."""
        self._notifier.reloading()
        for certificates in {id(each.certificates): each.certificates for each in self._bound}.values():
            if certificates is not None:
                _reload(certificates)

    def reloaded(self, new: bool) -> None:
        """Tell systemd."""
        if new:
            logger.info("reload: all workers are new")
        self._notifier.ready()

    def stopping(self) -> None:
        """Tell the person in front of it, systemd, and the kernel: from here on the backlogs are only emptied."""
        if not self._quiet:
            say_stopping()
        self._notifier.stopping()
        for each in self._bound:
            each.queue_nobody()

    def reopen(self) -> None:
        """The parent logs too."""
        reopen_logs()

    def release(self) -> None:
        """Nothing of the parent's stays open in a worker, nor does its way of logging."""
        if self._control is not None:
            self._control.leave_to_parent()
        if self._link is not None:
            self._link.forget()
        self._logs.close()

    def _feed_watchdog(self, seconds: float) -> None:
        self._notifier.watchdog()
        self.loop.timers.call_at(self.loop.timers.now() + seconds, partial(self._feed_watchdog, seconds))

    # ``Commands``, for the control socket.

    def publish(self, topic: str, data: str | bytes, retain: bool) -> None:
        """Send to all who follow a topic, in every worker."""
        self.relay.publish(checked_topic(topic), data, retain)

    def status(self) -> dict[str, object]:
        """The figures of all workers."""
        standings = [] if self.parts.board is None else [Standing(self.parts.board, self.relay.counts())]
        return {"pid": os.getpid(), **report(standings)}

    def stop(self, kill: bool) -> None:
        """Drain and end; with ``kill`` at once."""
        self.supervisor.note(partial(self.supervisor.stop, at_once=kill))

    def reload(self) -> str:
        """Replace the workers."""
        return self.supervisor.reload()


def _reload(certificates: Certificates) -> None:
    try:
        certificates.reload()
    except SetupError as error:
        logger.error("reload: %s; the certificates from before stay", error)
