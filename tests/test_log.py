from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from microsock.log import logger, prepared

PATIENCE = 30


def said_by(script: str) -> tuple[str, str]:
    """What a program of its own writes to standard output and to standard error, in which nothing is loaded yet."""
    paths = f"import sys; sys.path[:] = {sys.path!r}\n"
    command = [sys.executable, "-S", "-E", "-c", paths + script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_logging_is_loaded_and_set_up_before_the_first_line() -> None:
    out, err = said_by("""
from microsock.log import logger, prepared

def prepare():
    import logging
    logging.basicConfig(format="%(levelname)s %(funcName)s %(message)s")
    print("prepared")

def speak():
    logger.warning("the first of %d", 2)
    logger.error("the second")

with prepared(prepare):
    assert "logging" not in sys.modules
    speak()
""")
    assert out == "prepared\n"
    assert err == "WARNING speak the first of 2\nERROR speak the second\n"


def test_what_was_prepared_for_nothing_is_forgotten() -> None:
    out, err = said_by("""
from microsock.log import logger, prepared
with prepared(lambda: print("prepared")):
    pass
logger.warning("later")
""")
    assert (out, err) == ("", "later\n")


def test_where_logging_is_loaded_it_is_set_up_at_once() -> None:
    made: list[str] = []
    with prepared(lambda: made.append("set up")):
        assert made == ["set up"]
        logger.debug("nothing more to do")
    assert made == ["set up"]


def test_it_stands_for_the_logger_of_the_packages_name(caplog: pytest.LogCaptureFixture) -> None:
    logger.warning("something happened")
    assert [(record.name, record.filename) for record in caplog.records] == [("microsock", "test_log.py")]
    assert logger.name == logging.getLogger("microsock").name


def test_the_terminal_gets_what_is_said_late_as_what_is_said_early() -> None:
    script = """
from microsock.log import logger
from microsock.runners.console import console
from microsock.settings import Settings
with console(Settings(access_log={access_log})):
    assert ("logging" in sys.modules) is {access_log}
    logger.warning("something happened")
    logger.debug("too fine")
import logging
assert logging.getLogger("microsock").handlers == []
"""
    for access_log in (False, True):
        out, err = said_by(script.format(access_log=access_log))
        assert out == ""
        assert err.endswith(" WARNING something happened\n")
        assert len(err.splitlines()) == 1


def test_a_program_that_loads_and_sets_up_logging_late_keeps_its_own_way() -> None:
    _, err = said_by("""
from microsock.log import logger
from microsock.runners.console import console
from microsock.settings import Settings
with console(Settings(access_log=False)):
    import logging
    logging.basicConfig(format="own: %(message)s")
    logger.warning("something happened")
""")
    assert err == "own: something happened\n"
