"""The settings: one frozen dataclass from which keywords, flags, environment and the docs' table are read.

Pure values: what is read from the environment or the command line is handed in.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
from collections.abc import Mapping
from typing import Any

from .errors import BadSetting

__all__ = ["SETTINGS", "Setting", "Settings", "checked", "from_environment", "from_text", "resolve"]

_SIZES = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_SECONDS = {"": 1.0, "s": 1.0, "ms": 0.001, "m": 60.0, "h": 3600.0}
_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)")
_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


@dataclasses.dataclass(frozen=True, slots=True)
class Setting:
    """What is known of one setting beside its name and default.

    ``kind`` is ``size`` (bytes), ``seconds``, ``count``, ``switch`` or ``choice``.
    """

    kind: str
    group: str
    help: str
    optional: bool = False
    minimum: float = 0
    choices: tuple[str, ...] = ()
    default: Any = None


def _setting(default: Any, kind: str, group: str, text: str, **more: Any) -> Any:
    about = Setting(kind, group, text, default=default, **more)
    return dataclasses.field(default=default, metadata={"setting": about})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting with its default. Sizes in bytes, times in seconds, None means no limit."""

    max_line_bytes: int = _setting(
        8190, "size", "Limits", "longest request line (414) and header line (431)", minimum=64
    )
    max_head_bytes: int = _setting(16 << 10, "size", "Limits", "largest request head; 431 past it", minimum=128)
    max_headers: int = _setting(100, "count", "Limits", "most header lines of a request; 431 past it", minimum=1)
    max_body_size: int = _setting(16 << 20, "size", "Limits", "largest request body; 413 past it; also per route")
    max_connections: int | None = _setting(
        None,
        "count",
        "Limits",
        "most open connections; by default the file-descriptor limit less 32",
        optional=True,
        minimum=1,
    )
    min_rate: float = _setting(
        500.0, "count", "Limits", "bytes a second a body (after 10 s) or an answer (after 20 s) must average"
    )
    max_queued_bytes: int = _setting(
        1 << 20, "size", "Limits", "most pushed bytes queued for one connection", minimum=1
    )
    slow_reader: str = _setting(
        "close", "choice", "Limits", "what a connection past max_queued_bytes gets: close (1013) or drop",
        choices=("close", "drop"),
    )  # fmt: skip
    max_queued_calls: int = _setting(64, "count", "Limits", "most blocking calls that wait for a thread; 503 past it")
    max_keep_alive_requests: int = _setting(1000, "count", "Limits", "most requests on one connection", minimum=1)
    head_timeout: float = _setting(10.0, "seconds", "Deadlines", "for a whole request head, from its first byte")
    body_timeout: float = _setting(10.0, "seconds", "Deadlines", "for a body that makes no progress")
    write_timeout: float = _setting(20.0, "seconds", "Deadlines", "for an answer whose peer takes nothing")
    keep_alive_timeout: float = _setting(5.0, "seconds", "Deadlines", "for an idle connection between requests")
    close_timeout: float = _setting(5.0, "seconds", "Deadlines", "for the peer's answer to a WebSocket Close")
    grace: float = _setting(10.0, "seconds", "Deadlines", "for what is running when the server is asked to stop")
    backlog: int = _setting(1024, "count", "Bind", "connections the kernel queues before they are accepted", minimum=1)
    threads: int = _setting(
        8, "count", "Processes", "most threads for blocking calls; made when first needed", minimum=1
    )
    websocket: bool = _setting(True, "switch", "WebSocket", "serve WebSocket routes")
    max_message_size: int = _setting(
        1 << 20, "size", "WebSocket", "largest message; 1009 past it; also per route", minimum=1
    )
    max_fragments: int | None = _setting(
        None, "count", "WebSocket", "most fragments of a message; by default 1024 and one more for each 64 bytes",
        optional=True, minimum=1,
    )  # fmt: skip
    compression: bool = _setting(
        False,
        "switch",
        "WebSocket",
        "compress messages with clients that offer it (permessage-deflate); also per route",
    )
    ping_interval: float | None = _setting(20.0, "seconds", "WebSocket", "between heartbeat pings", optional=True)
    ping_timeout: float = _setting(20.0, "seconds", "WebSocket", "for the pong to a heartbeat ping")
    access_log: bool = _setting(True, "switch", "Logging", "write a line for each answer to standard output")
    log_level: str = _setting(
        "info", "choice", "Logging", "least severe messages to log",
        choices=("debug", "info", "warning", "error", "critical"),
    )  # fmt: skip
    debug: bool = _setting(False, "switch", "Develop", "log the protocol's events")


SETTINGS: dict[str, Setting] = {field.name: field.metadata["setting"] for field in dataclasses.fields(Settings)}


def resolve(*layers: Mapping[str, object]) -> Settings:
    """Settings from several layers, the strongest first; what none of them names has its default.

    Raises ``BadSetting`` for an unknown name or a value that does not fit.
    """
    values: dict[str, object] = {}
    for layer in reversed(layers):
        values |= {name: checked(name, value) for name, value in layer.items()}
    return Settings(**values)  # type: ignore[arg-type]


def checked(name: str, value: object) -> object:
    """A value for a setting, or ``BadSetting`` saying what was got and what is expected."""
    setting = _known(name)
    if value is None and setting.optional:
        return None
    check = _CHECKS[setting.kind]
    return check(name, value, setting)


def from_text(name: str, text: str) -> object:
    """The value that a flag or environment variable gives: ``16k``, ``1m``, ``500ms``, ``2m``, ``on``, ``none``."""
    setting = _known(name)
    word = text.strip().lower()
    if setting.optional and word in ("none", ""):
        return None
    if setting.kind == "switch" and word in _YES + _NO:
        return word in _YES
    if setting.kind in ("size", "seconds", "count"):
        return checked(name, _number(name, word, setting))
    return checked(name, word)


def from_environment(environ: Mapping[str, str]) -> dict[str, object]:
    """The settings that an environment names, as ``MICROSOCK_`` and the name in capitals."""
    return {
        name: from_text(name, environ[f"MICROSOCK_{name.upper()}"])
        for name in SETTINGS
        if f"MICROSOCK_{name.upper()}" in environ
    }


def _known(name: str) -> Setting:
    if name not in SETTINGS:
        near = difflib.get_close_matches(name, SETTINGS, 1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(sorted(SETTINGS))}"
        raise BadSetting(f"unknown setting {name!r}{hint}")
    return SETTINGS[name]


def _number(name: str, text: str, setting: Setting) -> float:
    units: Mapping[str, float] = {"size": _SIZES, "seconds": _SECONDS}.get(setting.kind, {"": 1})  # type: ignore[assignment]
    match = _NUMBER.fullmatch(text)
    if match is None or match[2] not in units:
        raise BadSetting(f"{name} is {text!r}; expected {_expected(setting)}")
    number = float(match[1]) * units[match[2]]
    return int(number) if number.is_integer() else number


def _check_number(name: str, value: object, setting: Setting) -> object:
    whole = setting.kind != "seconds" and not isinstance(setting.default, float)
    if (
        not isinstance(value, int if whole else (int, float))
        or isinstance(value, bool)
        or not setting.minimum <= value < math.inf
    ):
        raise BadSetting(f"{name} is {value!r}; expected {_expected(setting)}")
    return value if whole else float(value)


def _check_switch(name: str, value: object, setting: Setting) -> object:
    if not isinstance(value, bool):
        raise BadSetting(f"{name} is {value!r}; expected {_expected(setting)}")
    return value


def _check_choice(name: str, value: object, setting: Setting) -> object:
    if value not in setting.choices:
        raise BadSetting(f"{name} is {value!r}; expected {_expected(setting)}")
    return value


_CHECKS = {
    "size": _check_number,
    "seconds": _check_number,
    "count": _check_number,
    "switch": _check_switch,
    "choice": _check_choice,
}


def _expected(setting: Setting) -> str:
    least = f" of at least {setting.minimum:g}" if setting.minimum else ""
    kinds = {
        "size": f"a number of bytes{least} (16384, or as text 16k, 1m)",
        "seconds": f"a number of seconds{least} (10, 0.5, or as text 500ms, 2m)",
        "count": f"a number{least}",
        "switch": "True or False",
        "choice": " or ".join(repr(choice) for choice in setting.choices),
    }
    return kinds[setting.kind] + (" or None" if setting.optional else "")
