from __future__ import annotations

import contextlib
import io
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from microsock import App, BadSetting, Server
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


def test_a_file_says_how_to_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "log.json"
    config.write_text('{"loggers": {"microsock.h5": {"level": "CRITICAL"}}}')
    try:
        with bare(Settings(log_config=str(config))):
            assert logging.getLogger("microsock.h5").level == logging.CRITICAL
    finally:
        logging.getLogger("microsock.h5").setLevel(logging.NOTSET)
    assert capsys.readouterr() == ("", "")
    with pytest.raises(BadSetting, match="log_config"), bare(Settings(log_config=str(tmp_path / "missing"))):
        pytest.fail("entered")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("no_color", "term", "layout", "painted"),
    [
        ("", "xterm", "dev", True),
        ("1", "xterm", "dev", False),
        ("", "dumb", "dev", False),
        ("", "xterm", "common", False),
    ],
)
def test_the_status_has_a_colour_on_a_terminal_that_wants_it(
    no_color: str, term: str, layout: str, painted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", term)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    with bare(Settings(access_log_format=layout)):
        for line in ("10:39:33 ::1 GET /404 200 5B 1.0ms", "10:39:33 ::1 GET / 500 0B 1.0ms", "no such line 200"):
            logging.getLogger("microsock.access").info("%s", line)
    lines = terminal.getvalue().splitlines()
    assert ("GET /404 \x1b[32m200\x1b[0m 5B" in lines[0]) is painted
    assert ("\x1b[31m500\x1b[0m" in lines[1]) is painted
    assert lines[2] == "no such line 200"
