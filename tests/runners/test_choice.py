from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from microsock import App, BadSetting, PortInUseError, Server, SetupError
from microsock.runners.choice import runner_for
from microsock.runners.preforked import Preforked, count_of
from microsock.runners.protocol import Task
from microsock.runners.sequential import Sequential

THEIRS = """
from microsock import SetupError

class Counting:
    tasks = []
    def run(self, task):
        self.tasks.append(task)
        assert task.load() is task.app
        return 7

class Silent: ...

class Broken:
    def __init__(self):
        raise ValueError("no luck")

class Strict:
    def __init__(self):
        raise SetupError("not here")
"""


@pytest.fixture(autouse=True)
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module with runners of somebody's own."""
    (tmp_path / "theirs.py").write_text(THEIRS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "theirs", raising=False)
    monkeypatch.delenv("WEB_CONCURRENCY", raising=False)


def task(**flags: object) -> Task:
    return Task(App, flags=flags)


def test_without_a_name_the_number_of_workers_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(runner_for(task()), Sequential)
    assert isinstance(runner_for(task(workers=2)), Preforked)
    monkeypatch.setenv("WEB_CONCURRENCY", "3")
    assert isinstance(runner_for(task()), Preforked)
    assert isinstance(runner_for(task(workers=1)), Sequential)
    assert isinstance(runner_for(task(), "sequential"), Sequential)
    monkeypatch.setenv("MICROSOCK_WORKERS", "1")
    assert isinstance(runner_for(task()), Sequential)


def test_a_name_is_stronger_unless_it_contradicts() -> None:
    assert isinstance(runner_for(task(), "preforked"), Preforked)
    with pytest.raises(BadSetting, match="the sequential runner has one worker"):
        runner_for(task(workers=2), "sequential")


def test_a_number_under_one_is_refused() -> None:
    with pytest.raises(BadSetting, match="workers is 0; expected a number of at least 1 or 'auto'"):
        App().run(workers=0)


def test_auto_is_one_worker_for_each_processor_that_may_be_used() -> None:
    assert count_of("auto") >= 1
    assert count_of(5) == 5


def test_anybodys_runner_gets_the_task_and_gives_the_exit_status() -> None:
    app = App()
    assert app.run(host="localhost", port=99, runner="theirs:Counting", workers=3, threads=2) == 7
    import theirs  # type: ignore[import-not-found]

    (found,) = theirs.Counting.tasks
    assert (found.app, list(found.binds), found.port) == (app, ["localhost"], 99)
    settings = found.settings()
    assert (settings.workers, settings.threads) == (3, 2)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("threaded", "runner is 'threaded'; expected 'sequential', 'preforked' or 'module:Class'"),
        ("nowhere:Runner", "cannot make the runner 'nowhere:Runner': ModuleNotFoundError"),
        ("theirs:Missing", "cannot make the runner 'theirs:Missing': AttributeError"),
        ("theirs:Broken", "cannot make the runner 'theirs:Broken': ValueError: no luck"),
        ("theirs:Silent", r"the runner 'theirs:Silent' has no method run\(task\)"),
    ],
)
def test_what_is_no_runner_is_a_bad_setting(name: str, message: str) -> None:
    with pytest.raises(BadSetting, match=message):
        runner_for(task(), name)


def test_a_runner_may_say_itself_why_it_cannot_be() -> None:
    with pytest.raises(SetupError, match="not here"):
        runner_for(task(), "theirs:Strict")


# Where it cannot listen.


@pytest.mark.server
@pytest.mark.parametrize("workers", [1, 2])
def test_app_run_logs_one_line_for_a_port_in_use_and_returns_4(
    workers: int, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert App().run(port=port, workers=workers) == 4
        with pytest.raises(PortInUseError):
            Server(App(), port=port)
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert record.exc_info is None
    assert record.message.startswith(f"127.0.0.1:{port} is in use by pid ")
    assert record.message.endswith("; stop it, or use port=0 for a free port")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"host": "192.0.2.1"}, "cannot listen on 192.0.2.1:8080"),
        ({"host": "unix:/no/such/folder/socket"}, "cannot listen on unix:/no/such/folder/socket"),
        ({"port": 0, "control": "/no/such/folder/socket"}, "cannot listen for commands at /no/such/folder/socket"),
    ],
)
def test_any_other_place_that_cannot_be_had_is_told_so_too(
    settings: dict[str, Any], message: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert App().run(**settings) == 4
    (record,) = caplog.records
    assert message in record.message
