"""A standard stream for the lines of a log: it never holds who writes, whatever its reader does, and takes any text.

What the reader does not take waits in a bounded queue, for a thread to hand over; past that, lines are dropped and
counted, and the count is told once there is room again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
import weakref
from collections import deque
from itertools import islice
from typing import TextIO

from .outlet import Outlet, descriptor_of, discard, has_room

__all__ = ["LogStream"]

_QUEUE_BYTES = 1 << 20
# POSIX has a write of so many bytes to a pipe in one piece, or not at all.
_IN_ONE_PIECE = 4096
# At a stop: for a reader that takes nothing, and for one that goes on taking.
_IDLE_SECONDS, _STOP_SECONDS = 0.5, 2.0
# Between two notices, where a reader is slow again and again.
_NOTICE_SECONDS = 1.0


class LogStream:
    """Lines for one stream. Any thread may write.

    Args:
        stream: ``sys.stdout`` or ``sys.stderr``; None takes everything and writes nothing.
        name: how notices call it.
        notices: where what is to be said of this stream goes; None for the stream itself.
        queue_bytes: what may wait for a reader.
    """

    def __init__(
        self, stream: TextIO | None, name: str, notices: LogStream | None = None, *, queue_bytes: int = _QUEUE_BYTES
    ) -> None:
        self._stream = stream
        self._name = name
        self._notices = notices
        self._queue_bytes = queue_bytes
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self._fd = descriptor_of(stream)
        self._outlet = _outlet(self._fd)
        self._torn = False  # whether the last line that went out has no end
        self._failure = ""
        self._next_notice = 0.0
        self._closed = False
        self._owner = os.getpid()
        self._begin_anew()
        _streams.add(self)

    def _begin_anew(self) -> None:
        # Also in a forked child: what waits is its parent's to write, and the thread is not there. The lock may be
        # taken again by the thread that has it: a signal's handler, or a finalizer, may write at any time.
        self.dropped = 0
        """Lines that were not written, and of which nothing is said yet."""
        self._lock = threading.RLock()
        self._news = threading.Condition(self._lock)
        self._waiting: deque[bytes | memoryview] = deque()
        self._waiting_bytes = 0
        self._thread: threading.Thread | None = None

    def write(self, line: str) -> None:
        """Write a line, which ends with its line end, or several. Never waits, never raises."""
        data = self._encoded(line)
        with self._lock:
            if self.dropped and self._notices is None:
                self._tell_dropped()
            if self._take(line, data):
                if self.dropped and self._notices is not None:
                    self._tell_dropped()
            else:
                self._drop()

    def hand_over(self) -> None:
        """Wait until all is written, or nothing is taken for half a second; two seconds at most."""
        now = time.monotonic()
        end, idle = now + _STOP_SECONDS, now + _IDLE_SECONDS
        with self._lock:
            while self._waiting and self._thread is not None and now < min(end, idle):
                before = self._waiting_bytes
                self._news.wait(min(end, idle) - now)
                now = time.monotonic()
                if self._waiting_bytes != before:
                    idle = now + _IDLE_SECONDS

    def close(self) -> None:
        """Hand over what waits, as long as it is taken, for two seconds at most; then ``leave``.

        For the end of the program: where nobody reads, what it has printed itself goes nowhere from here on, since
        Python writes that when it ends and would wait. In a forked child it only leaves.
        """
        if self._owner == os.getpid():
            self.hand_over()
            with self._lock:
                self._next_notice = 0.0
                if self.dropped:
                    self._tell_dropped()
                stuck = bool(self._waiting)
            if self._fd is not None and (stuck or not _is_flushed(self._stream, self._fd)):
                with contextlib.suppress(OSError):
                    discard(self._fd)
        self.leave()

    def leave(self) -> None:
        """Write no more, and close what was opened for it; what waits is lost."""
        with self._lock:
            self._closed = True
            self._news.notify_all()
            # Where something waits, the thread may be in the middle of a write.
            outlet = None if self._waiting else self._outlet
        if outlet is not None:
            outlet.close()

    # All of the following with the lock held.

    def _take(self, line: str, data: bytes) -> bool:
        if self._outlet is None:
            return self._stream is None or self._write_text(self._stream, line)
        rest: bytes | memoryview = data
        if not self._waiting:
            self._flush(self._outlet)
            try:
                rest = self._put(self._outlet, data)
            except OSError as error:
                self._fail(error)
                return self._outlet is None
            if not rest:
                return True
        if self._waiting_bytes + len(rest) > self._queue_bytes and len(rest) >= len(data):
            self._failure = "it is not read in time"
            return False
        self._keep(rest)
        return True

    def _put(self, outlet: Outlet, data: bytes) -> bytes | memoryview:
        # What is left of it. Of what a full disk took half, the rest is not written later: that would be two halves.
        if outlet.waits:
            return data
        rest = memoryview(b"\n" + data if self._torn else data)
        whole = len(rest)
        try:
            while rest and (size := outlet.write(rest)):
                rest = rest[size:]
        except OSError:
            self._torn = self._torn or len(rest) < whole
            raise
        self._torn = False
        return rest

    def _flush(self, outlet: Outlet) -> None:
        # What the program has printed comes first, unless that would have to wait.
        if self._stream is not None and outlet.has_room():
            with contextlib.suppress(OSError, ValueError):
                self._stream.flush()

    def _keep(self, data: bytes | memoryview) -> None:
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="microsock-log", daemon=True)
            self._thread.start()
        self._news.notify_all()

    def _drop(self) -> None:
        self.dropped += 1
        if self.dropped == 1 and self._notices is not None and time.monotonic() >= self._next_notice:
            self._next_notice = time.monotonic() + _NOTICE_SECONDS
            self._notices.write(_notice(f"{self._name} takes no lines ({self._failure}); they are counted"))

    def _tell_dropped(self) -> None:
        if time.monotonic() < self._next_notice:
            return
        lines = "1 line was" if self.dropped == 1 else f"{self.dropped} lines were"
        text = _notice(f"{lines} not written to {self._name}: {self._failure}")
        before, self.dropped = self.dropped, 0
        if self._notices is not None:
            self._notices.write(text)
        elif not self._take(text, self._encoded(text)):
            self.dropped = before
            return
        self._next_notice = time.monotonic() + _NOTICE_SECONDS

    def _fail(self, error: OSError) -> None:
        self._failure = error.strerror or str(error)
        if error.errno == errno.EPIPE and self._fd is not None and self._outlet is not None:
            # Nobody will ever read it. What the program prints goes nowhere either, instead of raising.
            with contextlib.suppress(OSError):
                discard(self._fd)
            self._outlet = self._stream = None
            self.dropped = 0
            if self._notices is not None:
                self._notices.write(_notice(f"nobody reads {self._name} any more; no access lines from here on"))

    def _write_text(self, stream: TextIO, line: str) -> bool:
        # Something that a program has put in the stream's place.
        try:
            try:
                stream.write(line)
            except UnicodeError:
                stream.write(self._encoded(line).decode(self._encoding, "replace"))
            stream.flush()
        except Exception as error:
            self._failure = str(error) or type(error).__name__
            return False
        return True

    def _encoded(self, line: str) -> bytes:
        try:
            return line.encode(self._encoding, "backslashreplace")
        except (UnicodeError, LookupError):
            return line.encode("ascii", "backslashreplace")

    # The thread.

    def _run(self) -> None:
        while (outlet := self._outlet) is not None and (batch := self._next_batch()):
            if not outlet.wait(_NOTICE_SECONDS) or self._closed:
                continue
            # Without the lock, since it may wait here. Nobody else writes while something is in the queue.
            size, failure = 0, None
            try:
                size = outlet.write(batch)
            except OSError as error:
                failure = error
            with self._lock:
                self._took(size, failure)
            if not size:
                time.sleep(0.01)  # there was room, though not enough

    def _next_batch(self) -> bytes:
        # Empty once the stream is closed. Whole lines, as many as other processes cannot write into the middle of.
        with self._lock:
            while not self._waiting and not self._closed:
                self._news.wait(_NOTICE_SECONDS if self.dropped else None)
                if self.dropped and not self._waiting:
                    self._tell_dropped()
            if self._closed:
                return b""
            batch = bytes(self._waiting[0])
            for line in islice(self._waiting, 1, None):
                if len(batch) + len(line) > _IN_ONE_PIECE:
                    break
                batch += line
        return batch[:_IN_ONE_PIECE] if self._outlet is not None and self._outlet.waits else batch

    def _took(self, size: int, failure: OSError | None) -> None:
        if self._closed:
            return
        self._waiting_bytes -= size
        while size:
            first = self._waiting.popleft()
            if size < len(first):
                self._waiting.appendleft(memoryview(first)[size:])
                break
            size -= len(first)
        if failure is not None:
            self.dropped += len(self._waiting)
            self._waiting.clear()
            self._waiting_bytes = 0
            self._fail(failure)
        elif not self._waiting and self.dropped:
            self._tell_dropped()
        self._news.notify_all()


def _outlet(fd: int | None) -> Outlet | None:
    try:
        return None if fd is None else Outlet(fd)
    except OSError:
        return None


def _is_flushed(stream: TextIO | None, fd: int) -> bool:
    try:
        if stream is None or not has_room(fd, _IDLE_SECONDS):
            return stream is None
        stream.flush()
    except (OSError, ValueError):
        return False
    return True


def _notice(text: str) -> str:
    return f"{time.strftime('%H:%M:%S')} WARNING {text}\n"


_streams: weakref.WeakSet[LogStream] = weakref.WeakSet()


def _after_fork() -> None:
    for stream in list(_streams):
        stream._begin_anew()


os.register_at_fork(after_in_child=_after_fork)
