"""A log's stream: whatever its reader does, who writes goes on, and what was lost is counted."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import re
import socket
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

import pytest

from microsock.adapters import outlet
from microsock.adapters.logstream import LogStream

PATIENCE = 10.0
PIPE = 4096


class Pipe:
    """A pipe of one page, with a text stream at its one end."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        fcntl.fcntl(self.write_end, fcntl.F_SETPIPE_SZ, PIPE)
        self.stream = text_stream(self.write_end)

    def read(self, size: int = 1 << 20) -> bytes:
        return os.read(self.read_end, size)

    def read_all(self, stop: Callable[[bytes], bool]) -> bytes:
        os.set_blocking(self.read_end, False)
        got, deadline = b"", time.monotonic() + PATIENCE
        while not stop(got):
            assert time.monotonic() < deadline, got[-200:]
            try:
                got += self.read()
            except BlockingIOError:
                time.sleep(0.001)
        return got


def text_stream(fd: int, encoding: str = "utf-8", errors: str = "strict") -> TextIO:
    # As Python makes its own, which it does not close either.
    return io.TextIOWrapper(io.BufferedWriter(io.FileIO(fd, "w", closefd=False)), encoding, errors)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    with contextlib.suppress(OSError):  # a test may have closed what is below it
        pipe.stream.close()
    for fd in (pipe.read_end, pipe.write_end):
        if fd >= 0:
            os.close(fd)


@pytest.fixture(params=["opened once more", "another user's"])
def manner(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A pipe that cannot be opened once more is left to a thread."""
    if request.param == "another user's":
        monkeypatch.setattr(outlet, "_reopened", lambda fd: -1)
    return str(request.param)


def lines(first: int, last: int, width: int = 0) -> list[str]:
    return [f"{number:06} {'x' * width}\n" for number in range(first, last)]


def told(log: list[str]) -> int:
    """How many lines are said to be missing, in all, less those that say so."""
    return sum(int(line.split()[2]) - 1 for line in log if "not written" in line)


def write(stream: LogStream, wanted: list[str]) -> None:
    for line in wanted:
        stream.write(line)


def test_lines_arrive_in_order_and_at_once(pipe: Pipe, manner: str) -> None:
    stream = LogStream(pipe.stream, "the log")
    write(stream, lines(0, 40))
    assert pipe.read_all(lambda got: got.count(b"\n") == 40) == "".join(lines(0, 40)).encode()
    stream.close()
    assert stream.dropped == 0


def test_what_is_not_read_waits_and_then_arrives_whole(pipe: Pipe, manner: str) -> None:
    stream = LogStream(pipe.stream, "the log")
    wanted = lines(0, 300, width=100)
    write(stream, wanted)
    assert pipe.read_all(lambda got: got.count(b"\n") == 300).decode() == "".join(wanted)
    stream.close()


@pytest.mark.parametrize("width", [1, 4000, 4088, 4089, 4090, 70_000])
def test_lines_of_any_length_arrive_whole(pipe: Pipe, manner: str, width: int) -> None:
    stream = LogStream(pipe.stream, "the log", queue_bytes=10 << 20)
    wanted = lines(0, 8, width)
    write(stream, wanted)
    assert pipe.read_all(lambda got: got.count(b"\n") == 8).decode() == "".join(wanted)
    stream.close()


def test_past_the_queue_lines_are_dropped_and_counted_and_that_is_told_once_there_is_room(
    pipe: Pipe, manner: str
) -> None:
    stream = LogStream(pipe.stream, "the log", queue_bytes=8000)
    wanted = lines(0, 1000, width=92)  # of 100 bytes
    write(stream, wanted)
    whole: list[str] = []
    while len(whole) + told(whole) < 1000:
        whole += pipe.read_all(lambda got: got.endswith(b"\n")).decode().splitlines(keepends=True)
    kept = [line for line in whole if "WARNING" not in line]
    assert 40 < len(kept) < 400
    assert kept == sorted(kept)
    assert set(kept) <= set(wanted)
    assert re.search(r"^..:..:.. WARNING \d+ lines were not written to the log: it is not read in time$", whole[-1])
    write(stream, lines(1000, 1001))
    assert pipe.read_all(lambda got: got.endswith(b"\n")) == b"001000 \n"
    stream.close()


def test_what_is_lost_of_one_stream_is_told_on_another(pipe: Pipe) -> None:
    errors = io.StringIO()
    stream = LogStream(pipe.stream, "standard output", LogStream(errors, "standard error"), queue_bytes=1000)
    write(stream, lines(0, 1000, width=92))
    told = errors.getvalue().splitlines()
    assert len(told) == 1
    assert told[0].endswith(" WARNING standard output takes no lines (it is not read in time); they are counted")
    lost = stream.dropped
    got = pipe.read_all(lambda got: got.count(b"\n") == 1000 - lost)
    assert b"WARNING" not in got
    stream.close()
    assert f" {lost} lines were not written to standard output" in errors.getvalue().splitlines()[1]


def test_a_slow_reader_is_not_told_of_more_than_once_a_second(pipe: Pipe) -> None:
    errors = io.StringIO()
    stream = LogStream(pipe.stream, "standard output", LogStream(errors, "standard error"), queue_bytes=1000)
    for _ in range(50):
        write(stream, lines(0, 100, width=92))
        pipe.read()
    assert len(errors.getvalue().splitlines()) <= 2 + PATIENCE
    stream.close()


@pytest.mark.timed
def test_a_reader_that_takes_nothing_holds_neither_a_line_nor_the_stop(pipe: Pipe, manner: str) -> None:
    stream = LogStream(pipe.stream, "the log")
    began = time.monotonic()
    write(stream, lines(0, 20_000, width=93))
    stream.close()
    assert time.monotonic() - began < 3.0
    # What Python would flush when it ends goes nowhere.
    pipe.stream.write("x" * 100_000)
    pipe.stream.flush()


def test_at_the_stop_a_slow_reader_gets_all_of_it(pipe: Pipe, manner: str) -> None:
    stream = LogStream(pipe.stream, "the log")
    wanted = "".join(lines(0, 500, width=93))
    got = b""

    def read() -> None:
        nonlocal got
        while chunk := pipe.read(PIPE):
            got += chunk
            time.sleep(0.002)

    reader = threading.Thread(target=read)
    reader.start()
    write(stream, [wanted])
    stream.close()
    os.close(pipe.write_end)
    pipe.write_end = -1
    reader.join(PATIENCE)
    assert got.decode() == wanted


def test_what_the_program_prints_comes_in_its_place(pipe: Pipe) -> None:
    stream = LogStream(pipe.stream, "the log")
    pipe.stream.write("printed\n")
    stream.write("logged\n")
    assert pipe.read() == b"printed\nlogged\n"
    stream.close()


def test_what_the_program_prints_into_a_full_pipe_holds_no_line(pipe: Pipe) -> None:
    stream = LogStream(pipe.stream, "the log", queue_bytes=100)
    write(stream, lines(0, 100, width=93))
    for _ in range(40):
        pipe.stream.write("printed\n")
        stream.write("logged\n")
    stream.close()


def test_nobody_else_finds_the_pipe_changed(pipe: Pipe) -> None:
    stream = LogStream(pipe.stream, "the log")
    stream.write("a line\n")
    assert os.get_blocking(pipe.write_end)
    stream.close()


def test_lines_of_several_processes_do_not_mix_however_full_the_pipe_is(pipe: Pipe, manner: str) -> None:
    children = []
    for letter in "abc":
        pid = os.fork()
        if pid == 0:
            stream = LogStream(pipe.stream, "the log", queue_bytes=1 << 20)
            write(stream, [f"{letter * 99}\n"] * 200)
            stream.close()
            os._exit(0)
        children.append(pid)
    got = pipe.read_all(lambda got: got.count(b"\n") == 600).decode().splitlines()
    for pid in children:
        assert os.waitpid(pid, 0)[1] == 0
    assert all(len(line) == 99 and len(set(line)) == 1 for line in got)


def test_a_forked_child_writes_nothing_of_its_parents_and_can_write_itself(pipe: Pipe) -> None:
    stream = LogStream(pipe.stream, "the log")
    write(stream, lines(0, 100, width=93))
    with stream._lock:  # as if another thread were just writing
        pid = os.fork()
        if pid == 0:
            stream.write("the child\n")
            stream.close()
            os._exit(0)
    wanted = "".join(lines(0, 100, width=93))
    got = pipe.read_all(lambda got: got.count(b"\n") == 101).decode()
    assert got.replace("the child\n", "") == wanted
    assert os.waitpid(pid, 0)[1] == 0
    stream.close()


def test_a_pipe_that_nobody_can_read_any_more_is_left_for_good(pipe: Pipe, manner: str) -> None:
    errors = io.StringIO()
    stream = LogStream(pipe.stream, "standard output", LogStream(errors, "standard error"))
    os.close(pipe.read_end)
    pipe.read_end = -1
    write(stream, lines(0, 10))
    deadline = time.monotonic() + PATIENCE
    while not errors.getvalue() and time.monotonic() < deadline:
        time.sleep(0.001)
    write(stream, lines(0, 10))
    assert errors.getvalue().count("\n") == 1
    assert "nobody reads standard output any more" in errors.getvalue()
    print("no error", file=pipe.stream, flush=True)
    stream.close()


def test_a_full_disk_costs_no_more_than_the_lines() -> None:
    errors = io.StringIO()
    with Path("/dev/full").open("w") as full:
        stream = LogStream(full, "standard output", LogStream(errors, "standard error"))
        full.write("printed")
        write(stream, lines(0, 100))
        assert stream.dropped == 100
        stream.close()
        full.flush()
    told = errors.getvalue().splitlines()
    assert [line[9:] for line in told] == [
        "WARNING standard output takes no lines (No space left on device); they are counted",
        "WARNING 100 lines were not written to standard output: No space left on device",
    ]


def test_a_disk_that_has_room_again_goes_on_with_a_whole_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = 20
    os_write = os.write

    def limited(fd: int, data: bytes) -> int:
        nonlocal room
        if fd != file.fileno():
            return os_write(fd, data)
        if room == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        size = os_write(fd, data[:room])
        room -= size
        return size

    with (tmp_path / "log").open("w") as file:
        stream = LogStream(file, "the log")
        monkeypatch.setattr(os, "write", limited)
        write(stream, ["first line\n", "second line\n", "third line\n"])
        room = 1000
        stream.write("fourth line\n")
        stream.close()
    first, second, notice, last = (tmp_path / "log").read_text().splitlines()
    assert (first, second, last) == ("first line", "second li", "fourth line")
    assert notice[9:] == "WARNING 2 lines were not written to the log: No space left on device"


def test_a_file_is_shared_with_whoever_else_writes_to_it(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file:
        os.write(file.fileno(), b"another program\n")
        stream = LogStream(file, "the log")
        stream.write("the server\n")
        os.write(file.fileno(), b"another program\n")
        stream.write("the server\n")
        stream.close()
    assert (tmp_path / "log").read_text() == "another program\nthe server\n" * 2


def test_a_socket_that_is_not_read_holds_nobody() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stream = LogStream(text_stream(ours.fileno()), "the log", queue_bytes=8000)
        write(stream, lines(0, 20_000, width=93))
        assert stream.dropped
        assert ours.getblocking()
        log: list[str] = []
        while len(log) + told(log) < 20_000:
            log += read_lines(lambda: theirs.recv(1 << 20))
        assert all(len(line) == 101 for line in log if "WARNING" not in line)
        stream.close()


def read_lines(read: Callable[[], bytes]) -> list[str]:
    got = read()
    while not got.endswith(b"\n"):
        got += read()
    return got.decode().splitlines(keepends=True)


def test_a_terminal_that_is_stopped_holds_nobody(manner: str) -> None:
    ours, theirs = os.openpty()
    try:
        termios.tcflow(theirs, termios.TCOOFF)  # as ^S does
        stream = LogStream(text_stream(theirs), "the log", queue_bytes=8000)
        write(stream, lines(0, 2000, width=93))
        assert stream.dropped > 1000
        termios.tcflow(theirs, termios.TCOON)
        log: list[str] = []
        while len(log) + told(log) < 2000:
            log += read_lines(lambda: os.read(ours, 1 << 16))
        assert log[0].startswith("000000 xxx")
        stream.close()
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize(
    ("encoding", "wanted"),
    [
        ("ascii", b"caf\\xe9 \\u2028 \\udcff \\U0001f600\n"),
        ("latin-1", b"caf\xe9 \\u2028 \\udcff \\U0001f600\n"),
        ("utf-8", "caf\xe9 \u2028 \\udcff \U0001f600\n".encode()),
        ("cp1252", b"caf\xe9 \\u2028 \\udcff \\U0001f600\n"),
    ],
)
def test_a_character_that_the_stream_cannot_take_is_escaped(pipe: Pipe, encoding: str, wanted: bytes) -> None:
    text = "caf\xe9 \u2028 \udcff \U0001f600\n"
    stream = LogStream(text_stream(pipe.write_end, encoding, "strict"), "the log")
    stream.write(text)
    assert pipe.read() == wanted
    stream.close()
    # And where something else stands in the stream's place.
    fake = io.TextIOWrapper(io.BytesIO(), encoding, "strict")
    stream = LogStream(fake, "the log")
    stream.write(text)
    stream.close()
    assert fake.buffer.getvalue() == wanted


def test_there_may_be_no_stream_at_all_or_a_closed_or_broken_one() -> None:
    stream = LogStream(None, "the log")  # as under pythonw
    stream.write("a line\n")
    stream.close()

    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise RuntimeError("broken")

    closed = io.StringIO()
    closed.close()
    with open(os.dup(2), "w") as shut:  # noqa: PTH123
        pass
    for each in (Broken(), closed, shut):
        stream = LogStream(each, "the log")
        write(stream, lines(0, 3))
        assert stream.dropped == 3
        stream.close()


def test_a_descriptor_that_was_closed_behind_our_back_raises_nothing() -> None:
    read_end, write_end = os.pipe()
    stream = LogStream(text_stream(write_end), "the log")
    os.close(write_end)
    stream.write("a line\n")
    assert os.read(read_end, 100) == b"a line\n"
    stream.close()
    os.close(read_end)


def test_whoever_writes_while_a_line_is_written_is_not_held(pipe: Pipe) -> None:
    # A signal's handler, say.
    stream = LogStream(pipe.stream, "the log")
    with stream._lock:
        stream.write("a line\n")
    assert pipe.read() == b"a line\n"
    stream.close()


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_no_descriptor_and_no_thread_is_left(pipe: Pipe) -> None:
    before, threads = open_descriptors(), set(threading.enumerate())
    for _ in range(5):
        stream = LogStream(pipe.stream, "the log")
        write(stream, lines(0, 100, width=93))
        pipe.read_all(lambda got: got.count(b"\n") == 100)
        stream.close()
    assert open_descriptors() == before
    deadline = time.monotonic() + PATIENCE
    while set(threading.enumerate()) - threads:
        assert time.monotonic() < deadline
        time.sleep(0.01)
