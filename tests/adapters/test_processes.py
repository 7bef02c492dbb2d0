from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from microsock.adapters import processes
from microsock.adapters.processes import begun, command_of, handle_of, is_alive, owner_of, parent_of

pytestmark = pytest.mark.server


@contextmanager
def another(code: str = "input()") -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def test_what_is_known_of_a_process() -> None:
    with another() as process:
        assert is_alive(process.pid)
        assert parent_of(process.pid) == os.getpid()
        assert owner_of(process.pid) == os.geteuid()
        assert begun(process.pid) >= begun(os.getpid()) > 0
        # Between fork and exec it still has its parent's, and in the middle of exec none.
        began = time.monotonic()
        while not command_of(process.pid):
            assert time.monotonic() - began < 10


def test_of_a_process_that_is_not_there_nothing_is_known() -> None:
    with another() as process:
        process.kill()
        process.wait()
    pid = process.pid
    assert not is_alive(pid)
    assert (parent_of(pid), owner_of(pid), begun(pid), command_of(pid)) == (0, -1, 0, "")
    with handle_of(pid) as handle:
        assert handle is None


def test_one_that_has_ended_and_was_not_waited_for_is_not_alive() -> None:
    with another() as process, handle_of(process.pid) as handle:
        assert handle is not None
        assert not handle.ended(0)
        handle.send(signal.SIGKILL)
        assert handle.ended(10)
        assert not is_alive(process.pid)


def test_signals_go_to_the_process_that_was_meant() -> None:
    with another() as process, handle_of(process.pid) as handle:
        assert handle is not None
        process.kill()
        process.wait()
        with pytest.raises(ProcessLookupError):
            handle.send(signal.SIGTERM)


def test_where_the_kernel_gives_no_handles_its_beginning_tells_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    with another() as process, handle_of(process.pid) as handle:
        assert handle is not None
        assert not handle.ended(0)
        handle.send(signal.SIGKILL)
        assert handle.ended(10)
        with pytest.raises(ProcessLookupError):
            handle.send(signal.SIGTERM)


def test_a_name_with_brackets_confuses_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "stat").write_text("7 (a) R 1 (b) S 42 " + " ".join(map(str, range(5, 30))))
    monkeypatch.setattr(processes, "_PROC", tmp_path)
    assert (parent_of(7), begun(7)) == (42, 22)
