"""The files of the log: a configuration read from one, and those that are written to, opened anew.

Knows the standard library's ``logging`` and nothing of what is logged.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from ..errors import BadSetting
from ..log import logger

__all__ = ["check_configuration", "configure_logging", "reopen_logs"]


def configure_logging(path: str) -> None:
    """Set up logging as a file says: JSON for ``dictConfig``, anything else for ``fileConfig``.

    Loggers that exist already stay, unless the file says otherwise. Raises ``BadSetting`` naming file and fault.
    """
    # For this alone: more than all else of logging.
    import json
    import logging.config

    text = _read(path)
    try:
        if text.lstrip().startswith("{"):
            logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, **json.loads(text)})
        else:
            logging.config.fileConfig(path, disable_existing_loggers=False, encoding="utf-8")
    # Whatever the file names is imported and called, and may fail in its own way.
    except Exception as error:
        raise BadSetting(f"log_config: {path} is no configuration of logging: {_reason(error)}") from error


def check_configuration(path: str) -> None:
    """Read such a file without doing what it says: that would open its log files. Raises ``BadSetting``."""
    import configparser
    import json

    text = _read(path)
    try:
        if text.lstrip().startswith("{"):
            json.loads(text)
        else:
            parser = configparser.ConfigParser()
            parser.read_string(text, path)
            for section in ("formatters", "handlers", "loggers"):
                parser[section]["keys"]
    except (ValueError, KeyError, RecursionError, configparser.Error) as error:
        raise BadSetting(f"log_config: {path} is no configuration of logging: {_reason(error)}") from error


def _read(path: str) -> str:
    from pathlib import Path

    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadSetting(f"log_config: cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def reopen_logs() -> None:
    """Open every log file anew under its name, after somebody has moved it away (USR2 and HUP ask for it).

    A file that cannot be opened goes on as before, and that is logged.
    """
    for handler in set(_handlers()):
        if isinstance(handler, logging.FileHandler) and handler.stream is not None:
            _reopen(handler)


def _reopen(handler: logging.FileHandler) -> None:
    try:
        # Appended to, even where mode="w" began it: what is there now is not ours to throw away.
        fresh = open(handler.baseFilename, "a", encoding=handler.encoding, errors=handler.errors)  # noqa: SIM115, PTH123
    except OSError as error:
        logger.error("cannot reopen the log %s: %s; it goes on where it was", handler.baseFilename, error.strerror)
        return
    handler.acquire()
    try:
        before = handler.setStream(fresh)
    finally:
        handler.release()
    if before is not None:
        before.close()


def _handlers() -> Iterator[logging.Handler]:
    for name in [None, *logging.root.manager.loggerDict]:
        yield from logging.getLogger(name).handlers


def _reason(error: Exception) -> str:
    import configparser

    # dictConfig and fileConfig say "Unable to configure handler 'x'", and the reason in the cause.
    cause = error.__cause__ or error.__context__
    if isinstance(error, configparser.Error | KeyError):
        return f"{type(error).__name__}: {error}"
    return f"{error}" + (f" ({cause})" if cause is not None else "")
