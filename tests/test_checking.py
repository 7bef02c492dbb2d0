"""What ``--check`` finds, each of which a start would fail for."""

from __future__ import annotations

import importlib.util
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from microsock.cli import main

NOBODY = 65534
APP = """
from microsock import App
app = App({settings})

@app.on_start
def never():
    raise RuntimeError("on_start runs")
"""


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory one is in, with an app."""
    (tmp_path / "shop.py").write_text(APP.format(settings=""))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.setattr(sys, "modules", sys.modules.copy())
    return tmp_path


def checked(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    status = main(["--check", *arguments, "shop:app"])
    out, err = capsys.readouterr()
    assert out == ("" if status else "shop:app is fine: 0 routes, 0 websockets\n")
    return status, err


@pytest.fixture
def without_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "redis" else find_spec(name))


@pytest.mark.usefixtures("without_redis")
@pytest.mark.parametrize("name", ["bus", "rate_limit_store"])
@pytest.mark.parametrize("place", ["flag", "environment", "app"])
def test_a_missing_extra_is_found_and_named(
    name: str, place: str, site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url, flags = "redis://localhost", []
    if place == "flag":
        flags = [f"--{name.replace('_', '-')}", url]
    elif place == "environment":
        monkeypatch.setenv(f"MICROSOCK_{name.upper()}", url)
    else:
        (site / "shop.py").write_text(APP.format(settings=f"{name}={url!r}"))
    assert checked(capsys, *flags) == (
        3, f"error: {name} needs redis-py; install microsock[redis]\n"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "status", "message"),
    [
        (["--bus", "amqp://a"], 2, "bus is one of kind 'amqp'"),
        (["--rate-limit-store", "redis://a/b/c?db=x"], 2, "rate_limit_store is not understood"),
        (["--pid-file", "no/such/pid"], 2, "cannot write pid_file no/such/pid: No such file or directory"),
        (["--pid-file", "."], 2, "cannot write pid_file .: Is a directory"),
        (["--control", "no/socket"], 4, "cannot listen for commands at no/socket: No such file or directory"),
        (["--control", "a" * 150], 4, "File name too long"),
        (["--pid-file", "shop.py/pid"], 2, "cannot write pid_file shop.py/pid: Not a directory"),
        (["-b", "unix:no/socket"], 4, "cannot listen on unix:no/socket: No such file or directory"),
        (["-b", "http://a"], 2, "address 'http://a' is not understood"),
        (["--port", "70000"], 2, "port is 70000"),
        (["-b", "tls://127.0.0.1:1"], 2, "address tls://127.0.0.1:1 needs a certificate"),
        (["--ssl-certfile", "gone.pem"], 2, "ssl_certfile: cannot read gone.pem"),
        (["--ssl-certfile", "shop.py"], 2, "shop.py"),
        (["--ssl-keyfile", "gone.pem"], 2, "there is a TLS setting but no ssl_certfile"),
        (["--log-config", "gone.json"], 2, "log_config: cannot read gone.json"),
        (["--log-config", "shop.py"], 2, "log_config: shop.py is no configuration of logging"),
        (["--runner", "nowhere"], 2, "runner is 'nowhere'"),
        (["--runner", "nowhere:Class"], 2, "cannot make the runner 'nowhere:Class'"),
        (["--runner", "sequential", "--workers", "2"], 2, "the sequential runner has one worker"),
        (["--reload", "--workers", "2"], 2, "workers is 2; with --reload there is one"),
        (["--reload", "--runner", "preforked"], 2, "runner is 'preforked'; with --reload it is sequential"),
    ],
)
def test_what_a_start_would_fail_for_is_found(
    flags: list[str], status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (found := checked(capsys, *flags))[0] == status
    assert found[1].startswith("error: ")
    assert message in found[1]


@contextmanager
def not_root() -> Iterator[None]:
    """Root may write everywhere, so it is another user to access(2) meanwhile: that goes by the real user id."""
    real = os.getuid()
    if real == 0:
        os.setreuid(NOBODY, -1)
    try:
        yield
    finally:
        if real == 0:
            os.setreuid(real, -1)


@pytest.mark.parametrize(("mode", "status"), [(0o500, 2), (0o777, 0)])
def test_a_place_that_may_not_be_written_to_is_found(
    mode: int, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with tempfile.TemporaryDirectory() as folder:  # where others may come, unlike tmp_path
        Path(folder).chmod(mode)
        with not_root():
            found = checked(capsys, "--pid-file", f"{folder}/pid")
    assert found == (status, f"error: cannot write pid_file {folder}/pid: Permission denied\n" if status else "")


@pytest.mark.parametrize(
    "text", ['{"handlers": {"file": {"class": "logging.FileHandler", "filename": "log", "mode": "w"}}}', ""]
)
def test_nothing_is_written_bound_or_run(site: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    (site / "log").write_text("of the server that runs")
    (site / "log.json").write_text(text or "{}")
    before = sorted(path.name for path in site.iterdir())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        flags = ["--port", str(taken.getsockname()[1]), "--pid-file", "pid", "--log-config", "log.json", "-w", "2"]
        assert checked(capsys, *flags) == (0, "")
    assert sorted(path.name for path in site.iterdir() if path.name != "__pycache__") == before
    assert (site / "log").read_text() == "of the server that runs"


def test_a_logging_file_of_the_other_form_is_read_too(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (site / "log.ini").write_text(
        "[formatters]\nkeys=\n[handlers]\nkeys=\n[loggers]\nkeys=root\n[logger_root]\nhandlers=\n"
    )
    assert checked(capsys, "--log-config", "log.ini") == (0, "")
    (site / "log.ini").write_text("[formatters]\n")
    assert checked(capsys, "--log-config", "log.ini")[0] == 2
