from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

import pytest

from microsock import App, Server
from microsock.runners.console import announce, console, summary
from microsock.settings import Settings

LOGS = [logging.getLogger("microsock"), logging.getLogger("microsock.access")]


@contextlib.contextmanager
def bare(settings: Settings) -> Iterator[None]:
    """The console of a program that has set up no logging; pytest's own handlers are out of sight."""
    with pytest.MonkeyPatch.context() as patch:
        for log in LOGS:
            patch.setattr(log, "propagate", False)
            patch.setattr(log, "handlers", [])
        with console(settings):
            yield
        assert [log.handlers for log in LOGS] == [[], []]


def test_the_log_goes_to_standard_error_and_access_lines_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    with bare(Settings()):
        logging.getLogger("microsock").warning("something happened")
        logging.getLogger("microsock").debug("too fine")
        logging.getLogger("microsock.access").info("GET / 200")
    out, err = capsys.readouterr()
    assert out == "GET / 200\n"
    assert err.endswith(" WARNING something happened\n")
    assert "too fine" not in err


@pytest.mark.parametrize("settings", [Settings(log_level="debug"), Settings(debug=True)])
def test_debug_shows_the_finest_messages(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    with bare(settings):
        logging.getLogger("microsock").debug("very fine")
    assert "DEBUG very fine" in capsys.readouterr().err


def test_a_program_that_has_set_up_logging_keeps_its_own_way(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with console(Settings()):
        logging.getLogger("microsock").warning("something happened")
    assert "something happened" in caplog.text
    assert capsys.readouterr() == ("", "")


def test_a_line_that_cannot_be_made_is_reported_as_ever(capsys: pytest.CaptureFixture[str]) -> None:
    with bare(Settings()):
        logging.getLogger("microsock.access").info("%d", "no number")
    assert "Logging error" in capsys.readouterr().err


def test_an_app_is_summed_up_in_words() -> None:
    app = App()
    assert summary(app) == "0 routes, 0 websockets"
    app.ping()
    app.websocket("/chat")(lambda ws, message: None)
    assert summary(app) == "1 route, 1 websocket"


@pytest.mark.server
def test_the_banner_names_every_address(capsys: pytest.CaptureFixture[str]) -> None:
    with Server(App(), ":0") as server:
        announce(server)
    err = capsys.readouterr().err.splitlines()
    assert err[0].endswith(" · 0 routes, 0 websockets · sequential")
    assert f"Listening on http://0.0.0.0:{server.port} and http://[::]:{server.port} (pid " in err[1]
