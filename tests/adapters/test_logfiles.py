from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from microsock import BadSetting
from microsock.adapters.logfiles import configure_logging, reopen_logs


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """The server's logger, as it was before when the test is over."""
    found = logging.getLogger("microsock")
    before, root = (found.level, found.propagate, found.handlers[:]), logging.root.handlers[:]
    yield found
    for handler in found.handlers:
        if handler not in before[2]:
            handler.close()
    found.level, found.propagate, found.handlers[:] = before
    logging.root.handlers[:] = root


def configuration(path: Path) -> dict[str, object]:
    return {
        "formatters": {"plain": {"format": "%(levelname)s %(message)s"}},
        "handlers": {"file": {"class": "logging.FileHandler", "filename": str(path), "formatter": "plain"}},
        "loggers": {"microsock": {"level": "INFO", "handlers": ["file"], "propagate": False}},
    }


def test_a_file_in_json_is_for_dictconfig(tmp_path: Path, log: logging.Logger) -> None:
    (tmp_path / "log.json").write_text(json.dumps(configuration(tmp_path / "server.log")))
    configure_logging(str(tmp_path / "log.json"))
    log.info("hello")
    assert (tmp_path / "server.log").read_text() == "INFO hello\n"


def test_any_other_file_is_for_fileconfig(tmp_path: Path, log: logging.Logger) -> None:
    (tmp_path / "log.ini").write_text(
        "[loggers]\nkeys=root,microsock\n[handlers]\nkeys=file\n[formatters]\nkeys=plain\n"
        "[formatter_plain]\nformat=%(levelname)s %(message)s\n"
        f"[handler_file]\nclass=FileHandler\nformatter=plain\nargs=({str(tmp_path / 'server.log')!r},)\n"
        "[logger_root]\nhandlers=\n"
        "[logger_microsock]\nqualname=microsock\nlevel=INFO\nhandlers=file\npropagate=0\n"
    )
    configure_logging(str(tmp_path / "log.ini"))
    log.info("hello")
    assert (tmp_path / "server.log").read_text() == "INFO hello\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "Expecting property name"),
        ("{}x", "Extra data"),
        ('{"version": 2}', "Unsupported version"),
        ('{"handlers": {"a": {"class": "no.such.Class"}}}', "Unable to configure handler 'a'"),
        ('{"handlers": {"a": {"class": "logging.FileHandler", "filename": "/no/where"}}}', "No such file"),
        ("", "loggers|empty"),
        ("nonsense", "no section headers|is invalid"),
        ("[loggers]\nkeys=root\n", "formatters|handlers"),
    ],
)
def test_what_is_no_configuration_is_refused_with_file_and_reason(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "log.conf"
    path.write_text(text)
    with pytest.raises(BadSetting, match=rf"log_config: .*log\.conf is no configuration of logging: .*({reason})"):
        configure_logging(str(path))


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "log.conf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadSetting, match=r"log_config: cannot read .*log\.conf: "):
        configure_logging(str(path))


def test_a_log_that_was_moved_away_is_opened_anew(tmp_path: Path, log: logging.Logger) -> None:
    path = tmp_path / "server.log"
    # Even one that was begun with mode="w" is not thrown away: nobody may have moved it.
    for mode, lines in (("a", "second\n"), ("w", "second\n")):
        handler = logging.FileHandler(path, mode)
        log.addHandler(handler)
        log.warning("first")
        path.rename(tmp_path / "server.log.1")
        log.warning("late")
        reopen_logs()
        log.warning("second")
        reopen_logs()
        assert path.read_text() == lines
        assert (tmp_path / "server.log.1").read_text() == "first\nlate\n"
        log.removeHandler(handler)
        handler.close()
        path.unlink()


def test_a_log_that_cannot_be_opened_goes_on_where_it_was(
    tmp_path: Path, log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    log.addHandler(logging.FileHandler(folder / "server.log"))
    folder.rename(tmp_path / "moved")
    reopen_logs()
    log.warning("still here")
    assert "cannot reopen the log" in caplog.text
    assert (tmp_path / "moved" / "server.log").read_text().endswith("still here\n")
