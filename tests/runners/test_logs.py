"""Logs of real servers: their formats, and files that are moved away under them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.server

PATIENCE = 20.0
APP = """
from microsock import App
app = App()
app.ping()
"""


@contextmanager
def serving(folder: Path, *flags: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    (folder / "shop.py").write_text(APP)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MICROSOCK_")}
    command = [sys.executable, "-m", "microsock", "--port", "0", *flags, "shop"]
    with subprocess.Popen(
        command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        try:
            assert process.stderr is not None
            banner = [process.stderr.readline() for _ in range(3)]
            yield process, banner[1].split()[2]
        finally:
            process.kill()


def get(url: str) -> None:
    with urllib.request.urlopen(f"{url}/ping", timeout=PATIENCE) as answer:
        assert answer.read() == b"PONG"


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_format_of_access_lines_is_a_flag(tmp_path: Path) -> None:
    with serving(tmp_path, "--access-log-format", "json") as (process, url):
        get(url)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=PATIENCE)
    line = json.loads(out)
    assert (line["target"], line["status"], line["bytes"]) == ("/ping", 200, 4)
    assert line["user_agent"].startswith("Python-urllib/")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_logs_that_are_moved_away_are_opened_anew_at_usr2(tmp_path: Path, workers: str) -> None:
    log = tmp_path / "access.log"
    handler = {"class": "logging.FileHandler", "filename": str(log)}
    config = {"handlers": {"a": handler}, "loggers": {"microsock.access": {"level": "INFO", "handlers": ["a"]}}}
    (tmp_path / "log.json").write_text(json.dumps(config))
    with serving(tmp_path, "--log-config", str(tmp_path / "log.json"), "-w", workers) as (process, url):
        get(url)
        until(lambda: "/ping 200" in log.read_text())
        log.rename(tmp_path / "access.log.1")
        process.send_signal(signal.SIGUSR2)
        until(log.exists)
        # Each worker opens its own; until the last has done so, a line may still go to the old one.
        until(lambda: get(url) or log.read_text().count("/ping 200") >= 4)  # type: ignore[func-returns-value]
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 0


def test_a_bad_log_config_is_a_bad_command_line(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APP)
    (tmp_path / "log.json").write_text("{")
    command = [sys.executable, "-m", "microsock", "--port", "0", "--log-config", "log.json", "shop"]
    done = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True, timeout=PATIENCE)
    assert done.returncode == 2
    assert done.stderr.startswith("error: log_config: log.json is no configuration of logging: ")
