"""Logs of real servers: their formats, and files that are moved away under them."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from microsock import is_port_free

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


# Whatever becomes of the log, requests are answered and the server stops in its time.

LOUD = """
from microsock import App
app = App()

@app.get("/{name}")
def page(request, name):
    return name

@app.get("/raise")
def fails(request):
    raise ValueError(request.args["text"])
"""


@contextmanager
def loud(folder: Path, *flags: str, **streams: Any) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A server with the port that it listens on; ``streams`` and ``env`` are those of ``subprocess.Popen``."""
    (folder / "loud.py").write_text(LOUD)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MICROSOCK_")}
    environment |= streams.pop("env", {})
    with socket.create_server(("127.0.0.1", 0)) as listening:
        fd, port = listening.fileno(), listening.getsockname()[1]
        command = [sys.executable, "-m", "microsock", "-b", f"fd://{fd}", *flags, "loud"]
        process = subprocess.Popen(command, cwd=folder, env=environment, pass_fds=(fd,), **streams)
    try:
        yield process, port
    finally:
        process.kill()
        process.communicate()


def ask(port: int, target: str, *lines: str) -> bytes:
    head = "\r\n".join([f"GET {target} HTTP/1.1", "Host: localhost", *lines, "Connection: close", "", ""])
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
        client.sendall(head.encode("latin-1"))
        return b"".join(iter(lambda: client.recv(1 << 16), b""))


def stop(process: subprocess.Popen[bytes]) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(PATIENCE)


@pytest.mark.timed
@pytest.mark.parametrize("flags", [[], ["-w", "2"], ["--reload"], ["--log-level", "debug", "--debug"]])
def test_a_log_that_nobody_reads_holds_neither_requests_nor_the_stop(tmp_path: Path, flags: list[str]) -> None:
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4096)
    with loud(tmp_path, *flags, stdout=write_end, stderr=write_end) as (process, port):
        target = f"/{'a' * 6000}"
        for _ in range(400):
            assert ask(port, target).endswith(b"a")
        process.send_signal(signal.SIGUSR1)
        assert ask(port, "/b").endswith(b"b")
        began = time.monotonic()
        assert stop(process) == 0
        assert time.monotonic() - began < 10
    os.close(write_end)
    os.close(read_end)


def test_nothing_is_lost_at_a_stop_while_somebody_reads(tmp_path: Path) -> None:
    with loud(tmp_path, "-w", "2", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as (process, port):
        for number in range(200):
            ask(port, f"/{number:0>500}")
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=PATIENCE)
    assert {int(line.split()[3][1:]) for line in out.splitlines()} == set(range(200))


@pytest.mark.parametrize("flags", [[], ["-w", "2"]])
def test_a_full_disk_costs_no_traceback(tmp_path: Path, flags: list[str]) -> None:
    with (
        Path("/dev/full").open("w") as full,
        loud(tmp_path, *flags, stdout=full, stderr=subprocess.PIPE) as (process, port),
    ):
        for _ in range(20):
            assert ask(port, "/a").endswith(b"a")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert b"Traceback" not in err
    assert b"Logging error" not in err
    assert 1 <= err.count(b"takes no lines (No space left on device)") <= 2
    assert sum(int(line.split()[2]) for line in err.splitlines() if b"not written" in line) == 20


@pytest.mark.parametrize("layout", ["dev", "common", "combined", "json"])
@pytest.mark.parametrize("encoding", ["ascii:strict", "latin-1", "utf-8"])
def test_whatever_a_client_sends_is_one_line_in_any_encoding(tmp_path: Path, layout: str, encoding: str) -> None:
    agent = 'caf\xe9\xa0\x85\t" "forged\\'
    with loud(
        tmp_path, "--access-log-format", layout, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={"PYTHONIOENCODING": encoding},
    ) as (process, port):  # fmt: skip
        assert ask(port, '/a"%0a%1b[31m', f"User-Agent: {agent}", f"Referer: {agent}").startswith(b"HTTP/1.1 200")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=PATIENCE)
    assert b"Logging error" not in err
    line = out.decode(encoding.partition(":")[0])
    assert line.count("\n") == 1
    assert line[:-1].isprintable()
    if layout == "combined":
        assert len(re.findall(r'"((?:[^"\\]|\\.)*)"', line)) == 3
    if layout == "json":
        assert json.loads(line)["user_agent"] == agent


def test_nothing_of_a_client_looks_like_a_line_of_the_log(tmp_path: Path) -> None:
    forged = "10:00:00 ERROR forged"
    text = f"%0a{forged.replace(' ', '%20')}%1b[31m%e2%80%a8%0d{forged.replace(' ', '%20')}"
    with loud(tmp_path, "--debug", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as (process, port):
        assert ask(port, f"/raise?text={text}").startswith(b"HTTP/1.1 500")
        assert ask(port, f"/{text}").startswith(b"HTTP/1.1 200")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE)
    log = err.decode()
    assert "forged" in log
    for line in log.split("\n"):
        assert line.isprintable()
        assert not line.startswith(forged)


def test_a_program_without_any_streams_serves_too(tmp_path: Path) -> None:
    # As under pythonw, or with what a program puts in their place.
    program = """
import sys
from loud import app
from microsock import Server
sys.stdout = sys.stderr = None
raise SystemExit(app.run(port=int(sys.argv[1])))
"""
    (tmp_path / "loud.py").write_text(LOUD)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with subprocess.Popen([sys.executable, "-c", program, str(port)], cwd=tmp_path) as process:
        until(lambda: not is_port_free(port))
        assert ask(port, "/a").endswith(b"a")
        assert stop(process) == 0
