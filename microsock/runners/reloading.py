"""The runner for development: serves from a child process, and from a new one whenever a source file has changed.

The parent imports no app. It holds the listening sockets, so that nobody is refused while one child goes and the next
comes: who connects meanwhile waits. While the app does not work, a child serves what is wrong with it as a page.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from ..adapters.changes import Doorbell, Snapshot, SourceFiles, changed, is_source
from ..adapters.child import MAKE_ROOM, Child, Departure, Origin, fork
from ..adapters.ending import allow
from ..adapters.own_writes import SERVES, STARTS_PROGRAMS, OwnWrites
from ..adapters.pidfile import pid_file
from ..errors import BadSetting, SetupError
from ..log import logger
from ..server.binding import Bound, bind_all
from ..server.elsewhere import check_places
from ..server.server import Server
from ..server.signals import catch_signals_early, caught_signals
from ..server.wakeup import Wakeup
from ..settings import Settings
from ..startup import NamedTuple
from .console import console, reopen_logs, say, say_stopping, summary, write_banner
from .protocol import Task
from .reload_brake import ReloadBrake
from .reload_page import error_app
from .sequential import STOPPED_AT_ONCE

__all__ = ["Reloading", "check_workers"]

# Between two looks at the files. A look that takes long is taken more rarely; with a doorbell it is a precaution.
_POLL_SECONDS, _POLL_WITH_BELL_SECONDS, _LOOKS_APART = 0.25, 2.0, 10
# Editors and checkouts change one file after the other: until nothing changes for so long, and no longer than that.
_SETTLE_SECONDS, _LONGEST_SETTLE_SECONDS = 0.05, 2.0
# One that serves a problem and ends sooner than that is not followed by another, or that would go on for ever.
_SHORT_LIFE_SECONDS = 1.0

_STOP = (signal.SIGINT, signal.SIGTERM)
_PASSED_ON = (signal.SIGUSR1, signal.SIGUSR2)
_HEARD = (*_STOP, *_PASSED_ON, signal.SIGHUP, signal.SIGCHLD)

# The page of an error is for everybody.
_PAGE_FLAGS: dict[str, object] = {"connection_required": False, "rate_limit": None}


class Problem(NamedTuple):
    """Why the app is not served: one line, and the traceback."""

    title: str
    details: str = ""


class Reloading:
    """A runner; see ``protocol.Runner``.

    Args:
        directories: a change of a source file in one of them means a new child.
    """

    def __init__(self, directories: Sequence[Path]) -> None:
        self._directories = directories

    def run(self, task: Task) -> int:
        """Serve until SIGINT or SIGTERM, or until the server ends by itself with status 0; gives the exit status.

        It returns in the parent, and also in every child: the process is to exit then, as at the end of any server.
        Raises ``BadSetting`` and ``BindError``; in a child also what the app is at fault for.
        """
        with catch_signals_early():
            return self._run(task)

    def _run(self, task: Task) -> int:
        settings = task.settings()
        check_workers(settings)
        check_places(settings)
        with contextlib.ExitStack() as at_end:
            parent = at_end.enter_context(contextlib.closing(_Parent(self._directories)))
            bound = bind_all(task.binds, settings, port=task.port)
            for each in bound:
                at_end.callback(each.close)
                # The child's own copies go on to listen until it has accepted who waits.
                parent.at_stop += [each.queue_nobody, each.close]
            at_end.enter_context(pid_file(settings.pid_file))
            write_banner([task.name, "reloading"], [each.url for each in bound])
            problem: Problem | None = None
            while not isinstance(process := fork(), Origin):
                end = parent.look_after(process, problem)
                if isinstance(end, int):
                    return end
                problem = end
            # From here on, this is the child: all of that is the parent's.
            at_end.pop_all()
        own_writes = parent.leave()
        process.begin()
        # Compiled files are told apart by size and second, and two versions can be alike in both.
        sys.dont_write_bytecode = True
        return _serve(task, bound, process, problem, own_writes)


def check_workers(settings: Settings) -> None:
    """Raise ``BadSetting`` for more than one worker."""
    if settings.workers != 1:
        raise BadSetting(f"workers is {settings.workers!r}; with --reload there is one")


# In a child.


def _serve(task: Task, bound: Sequence[Bound], parent: Origin, problem: Problem | None, own_writes: OwnWrites) -> int:
    if problem is not None:
        return _run(Server(error_app(*problem), bound=bound, flags={**task.flags, **_PAGE_FLAGS}))
    try:
        own_writes.tell()
        app = task.load()
        server = Server(app, bound=bound, flags=task.flags, **dict(task.keywords))
        server.post(partial(say, f"Serving {summary(app)}"))
        server.post(own_writes.tell_that_it_serves)
        return _run(server)
    except KeyboardInterrupt:
        raise
    except SetupError as error:
        parent.report(json.dumps([str(error), task.explain(error.__cause__) if error.__cause__ else ""]))
        raise
    except BaseException as error:
        parent.report(json.dumps([f"the server crashed: {type(error).__name__}: {error}", task.explain(error)]))
        raise


def _run(server: Server) -> int:
    with server, console(server.settings):
        server.listen_for_commands(_reload_on_command)
        does = {signal.SIGUSR1: lambda: logger.warning("%s", server.dump()), signal.SIGUSR2: reopen_logs}
        handlers: dict[signal.Signals, Callable[[int], object]] = {
            MAKE_ROOM: lambda signum: server.leave_backlog(),
            **{signum: partial(_later, server, call) for signum, call in does.items()},
        }
        try:
            with caught_signals(handlers):
                server.run()
        except KeyboardInterrupt:
            allow(0.0)
            return STOPPED_AT_ONCE
        allow(server.time_left())
    return 0


def _later(server: Server, call: Callable[[], object], signum: int) -> None:
    server.post(call)


def _reload_on_command() -> str:
    os.kill(os.getppid(), signal.SIGHUP)
    return "a new process takes over"


# In the parent.


class _Parent:
    """What outlives the children: an ear for signals, an eye on the files, and the doorbell."""

    def __init__(self, directories: Sequence[Path]) -> None:
        self._files = SourceFiles(directories)
        self._seen = self._files.snapshot()
        if self._files.overrun:
            say("Links lead to very many directories, not all of which are watched; name directories with --reload-dir")
        # Before all that it need not inherit.
        watched = [*self._files.directories, *self._files.linked]
        self._bell = Doorbell(watched) if Doorbell.available() else None
        self._wakeup = Wakeup()
        self._heard: deque[int] = deque()
        self._handlers = caught_signals(dict.fromkeys(_HEARD, self._heard.append), self._wakeup.signal_fileno())
        self._handlers.__enter__()
        self._own_writes = OwnWrites(is_source)
        self._brake = ReloadBrake(say, os.path.relpath)
        self._serves_since = math.inf
        self._look_due = time.monotonic() + _POLL_SECONDS
        self.at_stop: list[Callable[[], object]] = []
        """To be called at the first signal to stop."""
        self._stops: list[int] = []
        self._asked = False

    def look_after(self, child: Child, problem: Problem | None) -> Problem | int | None:
        """Wait until a child, which serves the app or a problem, has ended or made room for the next.

        Gives what the next one is to serve, None for the app; or the status to exit with.
        """
        born, departure = time.monotonic(), Departure(child)
        self._own_writes.words.clear()
        self._serves_since = math.inf
        while (status := child.reap()) is None:
            self._listen(child, departure.due if departure.begun or self._stops else self._look_due)
            if departure.begun:
                departure.urge()
            elif not self._stops and (child.reported or self._reload_is_due()):
                departure.begin()
        if self._stops:
            return STOPPED_AT_ONCE if signal.SIGINT in self._stops[1:] else 0
        if departure.begun and not child.reported:
            return None
        if status == 0 or (problem is not None and time.monotonic() - born < _SHORT_LIFE_SECONDS):
            return 1 if status else 0
        return _problem_of(child.reported, status)

    def leave(self) -> OwnWrites:
        """In a child: give up all of it but what it tells the parent by."""
        self._close_all()
        return self._own_writes

    def close(self) -> None:
        """Give up all of it."""
        self._close_all()
        self._own_writes.close()

    def _close_all(self) -> None:
        self._handlers.__exit__(None, None, None)
        self._wakeup.close()
        if self._bell is not None:
            self._bell.close()

    def _listen(self, child: Child, until: float) -> None:
        """Wait for news, and hand on the signals among them."""
        seconds = None if until == math.inf else max(0.0, until - time.monotonic())
        all_sources = (self._wakeup, self._bell, child, self._own_writes)
        sources = [source for source in all_sources if source is not None and source.fileno() >= 0]
        ready, _, _ = select.select(sources, [], [], seconds)
        if child in ready:
            child.receive()
        if self._own_writes in ready:
            self._hear_of_writes()
        if self._bell is not None and self._bell in ready:
            self._look_due = 0.0
            if not self._bell.answer():
                self._bell.close()
                self._bell = None
        if self._wakeup in ready:
            self._wakeup.drain()
        while self._heard:
            self._obey(self._heard.popleft(), child)

    def _obey(self, signum: int, child: Child) -> None:
        if signum in _STOP:
            self._stops.append(signum)
            child.send(signal.SIGTERM if len(self._stops) < 3 else signal.SIGKILL)
            if len(self._stops) == 1:
                say_stopping()
                for call in self.at_stop:
                    call()
        elif signum in _PASSED_ON:
            child.send(signal.Signals(signum))
        elif signum == signal.SIGHUP:
            self._asked = True

    def _reload_is_due(self) -> bool:
        if self._asked:
            self._asked = False
            self._seen = self._files.snapshot()
            say("Reloading")
            return True
        if time.monotonic() < self._look_due:
            return False
        began = time.monotonic()
        paths = changed(self._seen, found := self._look())
        # What the app writes it tells before it does; so this comes behind the look.
        self._hear_of_writes()
        theirs = self._brake.by_others(paths, self._own_writes.among(paths, began))
        if not theirs:
            self._seen = found
            return False
        return self._is_let_through(theirs, found)

    def _hear_of_writes(self) -> None:
        now = time.monotonic()
        self._own_writes.receive(now)
        if SERVES in self._own_writes.words:
            self._serves_since = min(self._serves_since, now)

    def _is_let_through(self, paths: Sequence[str], found: Snapshot) -> bool:
        now = time.monotonic()
        programs = STARTS_PROGRAMS in self._own_writes.words
        wait = self._brake.wait(paths, max(0.0, now - self._serves_since), now, programs)
        if wait:
            self._look_due = now + wait
            return False
        self._seen = self._settled(found)
        say(f"Reloading: {_named(paths)} changed")
        return True

    def _look(self) -> Snapshot:
        started = time.monotonic()
        found = self._files.snapshot()
        ended = time.monotonic()
        least = _POLL_SECONDS if self._bell is None else _POLL_WITH_BELL_SECONDS
        self._look_due = ended + max(least, _LOOKS_APART * (ended - started))
        return found

    def _settled(self, found: Snapshot) -> Snapshot:
        latest = time.monotonic() + _LONGEST_SETTLE_SECONDS
        while time.monotonic() < latest:
            time.sleep(_SETTLE_SECONDS)
            before, found = found, self._files.snapshot()
            if found == before:
                break
        return found


def _problem_of(report: str, status: int) -> Problem:
    if report:
        try:
            title, details = map(str, json.loads(report))
            return Problem(title, details)
        except (ValueError, TypeError, RecursionError):  # cut short, or written by somebody else in that process
            return Problem("the app could not be served", report)
    cause = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    problem = Problem(f"the server {cause}")
    say(f"{problem.title}; waiting for a file to change")
    return problem


def _named(paths: Sequence[str]) -> str:
    shown = [os.path.relpath(path) for path in paths[:3]]
    more = f" and {len(paths) - len(shown)} more" if len(paths) > len(shown) else ""
    return ", ".join(shown) + more
