"""What a process tells of the files that it is about to write."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from microsock.adapters.changes import is_source
from microsock.adapters.own_writes import SERVES, STARTS_PROGRAMS, OwnWrites

# An audit hook stays for good, so each runs in a process of its own.
PROGRAM = """
import os, sys
sys.path[:0] = {path!r}
from microsock.adapters.changes import is_source
from microsock.adapters.own_writes import OwnWrites
own = OwnWrites(is_source)
reader = os.dup(own.fileno())
own.tell()
import io, pathlib, shutil, tempfile, threading
{does}
os.set_blocking(reader, False)
try:
    print(os.read(reader, 1 << 16).decode().replace(chr(0), "|"), end="")
except BlockingIOError:
    pass
"""

WRITES = {
    "open": "open('new.py', 'w').close()",
    "append": "open('old.py', 'a').close()",
    "for both": "open('old.py', 'r+b').close()",
    "exclusive": "open('new.py', 'x').close()",
    "os.open": "os.close(os.open('new.py', os.O_WRONLY | os.O_CREAT))",
    "pathlib": "pathlib.Path('new.py').write_text('x')",
    "by bytes": "open(b'new.py', 'w').close()",
    "in a directory": "os.mkdir('sub'); open('sub/../new.py', 'w').close()",
    "a whole path": "open(os.path.abspath('new.py'), 'w').close()",
    "moved there": "open('new.tmp', 'w').close(); os.replace('new.tmp', 'new.py')",
    "moved away": "os.rename('old.py', 'old.txt')",
    "removed": "os.remove('old.py')",
    "touched": "pathlib.Path('old.py').touch()",
    "truncated": "os.truncate('old.py', 0)",
    "copied": "shutil.copyfile('other.txt', 'new.py')",
    "linked": "os.link('other.txt', 'new.py'); os.symlink('other.txt', 'newer.py')",
    "in a thread": "t = threading.Thread(target=lambda: open('new.py', 'w').close()); t.start(); t.join()",
    "in a forked process": "os.fork() or (open('new.py', 'w').close(), os._exit(0)); os.wait()",
}
SILENT = {
    "read": "open('old.py').read()",
    "no source": "open('data.db', 'w').close(); open('notes.txt', 'w').close()",
    "a number": "open(os.dup(1), 'w').close()",
    "a file without a name": "tempfile.TemporaryFile().close()",
    "what is no path": "os.utime(os.open('other.txt', os.O_RDONLY))",
    "what fails": "\ntry:\n    open('a' * 5000 + '.py', 'w')\nexcept OSError:\n    pass",
}


def told(folder: Path, does: str) -> set[str]:
    (folder / "old.py").write_text("old")
    (folder / "other.txt").write_text("other")
    program = PROGRAM.format(path=sys.path, does=does)
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return {
        os.path.relpath(path, folder.resolve()) if path[0] == "/" else path for path in done.stdout.split("|") if path
    }


@pytest.mark.parametrize("does", WRITES.values(), ids=WRITES.keys())
def test_whatever_changes_a_source_file_is_told(tmp_path: Path, does: str) -> None:
    found = told(tmp_path, does)
    assert found
    assert found - {STARTS_PROGRAMS} <= {"new.py", "newer.py", "old.py"}


def test_that_it_starts_programs_is_told_too(tmp_path: Path) -> None:
    for does in (
        "import subprocess; subprocess.run(['true'])",
        "os.system('true')",
        "os.fork() or os._exit(0); os.wait()",
    ):
        assert told(tmp_path, does) == {STARTS_PROGRAMS}


@pytest.mark.parametrize("does", SILENT.values(), ids=SILENT.keys())
def test_all_else_is_not(tmp_path: Path, does: str) -> None:
    assert told(tmp_path, does) == set()


def test_what_was_told_is_heard_whole() -> None:
    own = OwnWrites(is_source)
    own._say("/a.py")
    os.write(own._writer, b"/b.p")
    own.receive(1.0)
    assert own.among(["/a.py", "/b.py", "/b.p", "/c.py"], 1.1) == {"/a.py"}
    os.write(own._writer, b"y\0")
    own.receive(2.0)
    assert own.among(["/b.py"], 2.1) == {"/b.py"}
    assert own.words == set()
    own.tell_that_it_serves()
    own.receive(4.0)
    assert own.words == {SERVES}
    own.close()


def test_it_explains_the_first_change_that_is_seen_and_those_for_a_second() -> None:
    own = OwnWrites(is_source)
    own._say("/a.py")
    own.receive(10.0)
    assert own.among(["/a.py"], 30.0) == {"/a.py"}  # the first look after it, however late
    assert own.among(["/a.py"], 30.1) == set()
    own._say("/a.py")
    own.receive(40.0)
    assert [own.among(["/a.py"], began) for began in (40.1, 40.9, 41.5)] == [{"/a.py"}, {"/a.py"}, set()]
    own._say("/a.py")
    own.receive(50.0)
    assert own.among([], 51.5) == set()  # it was opened, and nothing came of it
    assert own.among(["/a.py"], 51.6) == set()
    own.close()


def test_a_pipe_that_nobody_reads_holds_nobody() -> None:
    own = OwnWrites(is_source)
    for _ in range(100_000):
        own._say("/some/where/films.py")
    own.close()
