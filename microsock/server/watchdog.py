"""A thread that sees when a handler holds the loop: logs which one, for how long, and how many sockets wait meanwhile.

It also keeps the figures that the loop itself has no time for: its lag, its load, the blocking calls that wait. Knows
no protocol; the loop is only looked at, never touched.
"""

from __future__ import annotations

import math
import os
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable
from types import CodeType, FrameType

from ..log import logger
from ..tally import Cell, Tally
from .loop import Loop

__all__ = ["HELD_SECONDS", "Watchdog", "culprit", "stack_of", "turn_of"]

HELD_SECONDS = 1.0
"""A turn that takes longer is reported: everybody else waits for it."""
_LOOKS_A_SECOND = 4
# The lag that is shown is the longest turn of about the last ten seconds.
_WINDOW = 10 * _LOOKS_A_SECOND
# While one turn goes on, it is reported again when it has taken so many times longer.
_AGAIN = 10.0
_MOST_FRAMES = 40
# It ends at once, unless what it writes its log to takes nothing.
_JOIN_SECONDS = 1.0
_PACKAGE = os.path.dirname(os.path.dirname(__file__)) + "/"
_STANDARD = os.path.dirname(traceback.__file__) + "/"


class Watchdog:
    """Watches one loop, from ``start`` to ``stop``.

    Args:
        loop: whose turns it watches.
        tally: where its figures go.
        queued_calls: how many blocking calls wait for a thread.
        queued_clients: how many clients wait to be accepted.
        now: the clock of the board, in seconds.
        look_also: called with each look, in the same thread.
        held_seconds: how long a turn may take before it is reported.
    """

    def __init__(
        self,
        loop: Loop,
        tally: Tally,
        *,
        queued_calls: Callable[[], int],
        queued_clients: Callable[[], int],
        now: Callable[[], float],
        look_also: Callable[[], object] | None = None,
        held_seconds: float = HELD_SECONDS,
    ) -> None:
        self._loop = loop
        self._tally = tally
        self._queued_calls = queued_calls
        self._queued_clients = queued_clients
        self._now = now
        self._look_also = look_also
        self._held_seconds = held_seconds
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._recent: deque[float] = deque([0.0], maxlen=_WINDOW)
        # Of the turn that is reported on now.
        self._began = math.inf
        self._next_report = held_seconds
        self._name = ""
        self._waited = 0

    def start(self) -> None:
        """Begin to watch."""
        self._thread = threading.Thread(target=self._run, name="microsock-watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Watch no more. May be called again; waits for the thread, which is quick to end."""
        self._stopped.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_JOIN_SECONDS)
            self._thread = None

    def _run(self) -> None:
        while not self._stopped.wait(1 / _LOOKS_A_SECOND):
            try:
                self.look()
            except Exception:  # it must not die of what it sees
                logger.exception("unexpected error in the watchdog")

    def look(self) -> None:
        """See how the loop does, once."""
        began, now = self._loop.turn_began, self._loop.timers.now()
        longest, self._loop.longest_turn = self._loop.longest_turn, 0.0
        held = max(0.0, now - began)  # nothing where no turn goes on
        if began != self._began or math.isinf(began):
            self._report_end(longest)
            self._began, self._next_report = began, self._held_seconds
        if held >= self._next_report:
            self._report(held)
            self._next_report = held * _AGAIN
        elif self._name:
            self._waited = max(self._waited, self._waiting())
        self._note(max(longest, held))
        if self._look_also is not None:
            self._look_also()

    def _note(self, lag: float) -> None:
        self._recent.append(lag)
        cells = self._tally.cells
        cells[Cell.LOOP_LAG] = int(max(self._recent) * 1e6)
        cells[Cell.LOOP_BUSY] = int(self._loop.busy * 1e6)
        cells[Cell.QUEUED_CALLS] = self._queued_calls()
        cells[Cell.SEEN] = int(self._now() * 1e6)

    def _waiting(self) -> int:
        # A listening socket has news too, once for all its clients.
        return self._loop.waiting() + max(0, self._queued_clients() - 1)

    # Reports.

    def _report(self, held: float) -> None:
        thread = self._loop.thread
        frame = sys._current_frames().get(thread) if thread is not None else None
        if frame is None or self._loop.turn_began != self._began:
            return  # it has ended just now
        waiting = self._waiting()
        turn = turn_of(frame)
        self._name, self._waited = culprit(turn), max(self._waited, waiting)
        logger.warning(
            "%s has held the loop for %.1f s; %s. It is here:\n%s",
            self._name, held, _sockets(waiting, "wait"), stack_of(turn),
        )  # fmt: skip

    def _report_end(self, longest: float) -> None:
        if self._name:
            logger.warning(
                "%s held the loop for %.1f s in all; %s. Slow calls belong on a route with blocking=True",
                self._name, longest, _sockets(self._waited, "waited"),
            )  # fmt: skip
        elif longest >= self._held_seconds + 2 / _LOOKS_A_SECOND:
            # Python's own lock was held too, or the whole machine stood still.
            logger.warning("something held the loop for %.1f s, and this thread too: no handler can be named", longest)
        self._name, self._waited = "", 0


def turn_of(frame: FrameType) -> list[FrameType]:
    """The stack of a turn, outermost first: what the loop's ``step`` has called.

    Args:
        frame: the innermost of the thread's stack.
    """
    found: list[FrameType] = []
    current: FrameType | None = frame
    while current is not None and current.f_code is not Loop.step.__code__:
        found.append(current)
        current = current.f_back
    return found[::-1]


def culprit(turn: list[FrameType]) -> str:
    """Which of the app's functions a turn is in: the outermost one."""
    own = next((frame.f_code for frame in turn if _is_the_apps(frame.f_code)), None)
    if own is not None:
        return f"{own.co_qualname!r} ({own.co_filename}:{own.co_firstlineno})"
    return f"microsock itself, in {turn[-1].f_code.co_qualname!r}" if turn else "microsock itself"


def stack_of(turn: list[FrameType]) -> str:
    """A turn from the app's function inward, or all of it where there is none; as a traceback shows it."""
    start = next((place for place, frame in enumerate(turn) if _is_the_apps(frame.f_code)), 0)
    summary = traceback.StackSummary.extract(((frame, frame.f_lineno) for frame in turn[start:]), limit=-_MOST_FRAMES)
    return "".join(summary.format()).rstrip()


def _is_the_apps(code: CodeType) -> bool:
    file = code.co_filename
    if file.startswith((_PACKAGE, "<frozen ")):
        return False
    return not file.startswith(_STANDARD) or "-packages" in file


def _sockets(count: int, verb: str) -> str:
    if count == 1:
        return f"1 socket {verb}{'s' if verb == 'wait' else ''}"
    return f"{count} sockets {verb}"
