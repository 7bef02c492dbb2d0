from __future__ import annotations

import os
import signal

import pytest

from microsock import App, SetupError
from microsock.runners.sequential import run

pytestmark = pytest.mark.server


def stopping(*signals: signal.Signals) -> App:
    """An app that stops its server as soon as it starts."""
    app = App()

    @app.on_start
    def stop() -> None:
        for signum in signals:
            os.kill(os.getpid(), signum)

    return app


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_being_asked_to_stop_is_status_0(signum: signal.Signals, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(stopping(signum), port=0, name="shop:app") == 0
    first, second, third = capsys.readouterr().err.splitlines()
    assert first.startswith("microsock ")
    assert first.endswith(" · shop:app · 0 routes, 0 websockets · sequential")
    assert second.startswith("Listening on http://127.0.0.1:")
    assert third == "Press Ctrl+C to stop."


def test_a_second_sigint_is_status_130_without_a_banner(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(stopping(signal.SIGINT, signal.SIGINT), port=0) == 130
    assert capsys.readouterr().err == ""


def test_a_second_sigterm_is_status_0() -> None:
    assert run(stopping(signal.SIGINT, signal.SIGTERM), port=0) == 0


def test_app_run_is_the_short_way(capsys: pytest.CaptureFixture[str]) -> None:
    assert stopping(signal.SIGTERM).run(port=0, access_log=False) == 0
    assert " · sequential" in capsys.readouterr().err


def test_a_start_hook_that_fails_passes_through_without_a_banner(capsys: pytest.CaptureFixture[str]) -> None:
    app = App()
    app.on_start(lambda: int("no number"))
    with pytest.raises(SetupError, match="on_start raised ValueError"):
        run(app, port=0)
    assert capsys.readouterr().err == ""
