"""The settings: one tuple with names, from which keywords, flags, environment and the docs' table are read.

Pure values: what is read from the environment or the command line is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .errors import BadSetting
from .rates import Rate
from .startup import NamedTuple
from .values import Setting, check, expected, read

__all__ = ["SETTINGS", "Setting", "Settings", "checked", "from_environment", "from_text", "resolve"]

_HUNDRED_A_SECOND = Rate(100, 1.0)
# What a setting means for others that nobody has given a value.
_PROFILES: dict[str, dict[str, object]] = {
    # Longer than proxies keep an idle connection to us (nginx: 60 s), so that they do not use one that we just close.
    "behind_proxy": {"keep_alive_timeout": 75.0},
}


_ABOUT: list[Setting] = []


def _setting(default: Any, kind: str, group: str, text: str, **more: Any) -> Any:
    # The default, for the tuple; the rest is noted in the order of the fields.
    _ABOUT.append(Setting(kind, group, text, default=default, **more))
    return default


class Settings(NamedTuple):
    """Every setting with its default. Sizes in bytes, times in seconds, None means no limit."""

    max_line_bytes: int = _setting(
        8190, "size", "Limits", "longest request line (414) and header line (431)", minimum=64
    )
    max_head_bytes: int = _setting(16 << 10, "size", "Limits", "largest request head; 431 past it", minimum=128)
    max_headers: int = _setting(100, "count", "Limits", "most header lines of a request; 431 past it", minimum=1)
    max_body_size: int = _setting(16 << 20, "size", "Limits", "largest request body; 413 past it; also per route")
    max_buffered_bytes: int = _setting(
        256 << 20, "size", "Limits", "most bytes of bodies and queues of all connections of a worker; 503 past it",
        minimum=1,
    )  # fmt: skip
    max_connections: int | None = _setting(
        None,
        "count",
        "Limits",
        "most open connections; by default the file-descriptor limit less 32",
        optional=True,
        minimum=1,
    )
    max_connections_per_address: int | None = _setting(
        None,
        "count",
        "Limits",
        "most open connections of one address (IPv6: of one /64) with a worker; further ones are refused",
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
    rate_limit: Rate | None = _setting(
        None, "rate", "Limits", "requests each client may make, as 100/minute; 429 past it", optional=True
    )
    rate_limit_store: str | None = _setting(
        None, "text", "Limits", "where several machines count together: redis://host:port/db", optional=True
    )
    rate_limit_fallback: str = _setting(
        "local", "choice", "Limits", "while the store is away: count per host, let all through, or refuse with 503",
        choices=("local", "open", "closed"),
    )  # fmt: skip
    connection_required: bool = _setting(
        False, "switch", "Limits", "serve only clients that have called the connect route; 400 otherwise"
    )
    client_key: Callable[..., str] | None = _setting(
        None, "function", "Limits", "what tells one client from another; by default the address", optional=True
    )
    max_queued_calls: int = _setting(64, "count", "Limits", "most blocking calls that wait for a thread; 503 past it")
    max_keep_alive_requests: int = _setting(1000, "count", "Limits", "most requests on one connection", minimum=1)
    head_timeout: float = _setting(10.0, "seconds", "Deadlines", "for a whole request head, from its first byte")
    body_timeout: float = _setting(10.0, "seconds", "Deadlines", "for a body that makes no progress")
    write_timeout: float = _setting(20.0, "seconds", "Deadlines", "for an answer whose peer takes nothing")
    keep_alive_timeout: float = _setting(5.0, "seconds", "Deadlines", "for an idle connection between requests")
    tls_timeout: float = _setting(10.0, "seconds", "Deadlines", "for a TLS handshake")
    close_timeout: float = _setting(5.0, "seconds", "Deadlines", "for the peer's answer to a WebSocket Close")
    grace: float = _setting(10.0, "seconds", "Deadlines", "for what is running when the server is asked to stop")
    backlog: int = _setting(1024, "count", "Bind", "connections the kernel queues before they are accepted", minimum=1)
    reuse_port: bool = _setting(False, "switch", "Bind", "share the port with other servers (SO_REUSEPORT)")
    allowed_hosts: tuple[str, ...] | None = _setting(
        None, "hosts", "Bind", "hosts that are answered for: example.org, .example.org for all below too, * for any; "
        "421 for others; by default any, on loopback its own", optional=True,
    )  # fmt: skip
    workers: int | str = _setting(1, "workers", "Processes", "worker processes; auto is one for each processor")
    max_requests: int | None = _setting(
        None, "count", "Processes", "requests after which a worker is replaced", optional=True, minimum=1
    )
    max_requests_jitter: int = _setting(0, "count", "Processes", "at most so many more, at random, for each worker")
    worker_timeout: float = _setting(
        30.0,
        "seconds",
        "Processes",
        "for a worker whose loop does not turn; then it is killed and replaced",
        minimum=0.1,
    )
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
    ws_message_limit: Rate | None = _setting(
        None, "rate", "WebSocket", "messages of one connection, as 50/second; 1008 past it", optional=True
    )
    max_control_frames: Rate | None = _setting(
        _HUNDRED_A_SECOND, "rate", "WebSocket", "pings and pongs of one connection; 1008 past it", optional=True
    )
    ping_interval: float | None = _setting(20.0, "seconds", "WebSocket", "between heartbeat pings", optional=True)
    ping_timeout: float = _setting(20.0, "seconds", "WebSocket", "for the pong to a heartbeat ping")
    access_log: bool = _setting(True, "switch", "Logging", "write a line for each answer to standard output")
    access_log_format: str = _setting(
        "dev", "choice", "Logging", "how the lines look", choices=("dev", "common", "combined", "json")
    )
    log_config: str | None = _setting(
        None, "text", "Logging", "a file for logging.config: JSON, or INI as fileConfig reads it", optional=True
    )
    pid_file: str | None = _setting(
        None, "text", "Logging", "file for the process id, by which stop, status and reload find the server",
        optional=True,
    )  # fmt: skip
    control: str | None = _setting(
        None, "text", "Logging", "path of the control socket; by default beside the pid file, or by the port",
        optional=True,
    )  # fmt: skip
    log_level: str = _setting(
        "info", "choice", "Logging", "least severe messages to log",
        choices=("debug", "info", "warning", "error", "critical"),
    )  # fmt: skip
    ssl_certfile: str | None = _setting(
        None, "text", "TLS", "certificate chain (PEM); with it all TCP addresses speak TLS", optional=True
    )
    ssl_keyfile: str | None = _setting(None, "text", "TLS", "its key, if not in the same file", optional=True)
    ssl_keyfile_password: str | None = _setting(None, "text", "TLS", "the key's password", optional=True)
    ssl_ca_certs: str | None = _setting(
        None, "text", "TLS", "certificates that clients must be signed by (PEM)", optional=True
    )
    behind_proxy: bool = _setting(
        False, "switch", "Proxy", "trust forwarded headers of loopback and Unix peers, keep connections 75 s"
    )
    trusted_proxies: tuple[str, ...] = _setting(
        (), "networks", "Proxy", "whose forwarded headers are believed: addresses, networks, unix"
    )
    root_path: str = _setting("", "prefix", "Proxy", "path prefix under which a proxy serves the app")
    bus: str | None = _setting(
        None, "text", "Several machines", "what carries publish between machines: redis://host:port/db", optional=True
    )
    debug: bool = _setting(False, "switch", "Develop", "log the protocol's events")


SETTINGS: dict[str, Setting] = dict(zip(Settings._fields, _ABOUT, strict=True))


def resolve(*layers: Mapping[str, object]) -> Settings:
    """Settings from several layers, the strongest first; what none of them names has its default.

    Raises ``BadSetting`` for an unknown name or a value that does not fit.
    """
    values: dict[str, object] = {}
    for layer in reversed(layers):
        values |= {name: checked(name, value) for name, value in layer.items()}
    for name, implied in _PROFILES.items():
        if values.get(name):
            values = implied | values
    return Settings(**values)  # type: ignore[arg-type]


def checked(name: str, value: object) -> object:
    """A value for a setting, or ``BadSetting`` saying what was got and what is expected."""
    setting = _known(name)
    try:
        return check(setting, value)
    except ValueError as error:
        raise _misfit(name, value, setting, error) from None


def from_text(name: str, text: str) -> object:
    """The value that a flag or environment variable gives: ``16k``, ``1m``, ``500ms``, ``2m``, ``on``, ``none``."""
    setting = _known(name)
    try:
        value = read(setting, text)
    except ValueError as error:
        raise _misfit(name, text.strip().lower(), setting, error) from None
    return checked(name, value)


def from_environment(environ: Mapping[str, str]) -> dict[str, object]:
    """The settings that an environment names, as ``MICROSOCK_`` and the name in capitals.

    ``WEB_CONCURRENCY``, which platforms set, is ``workers`` as well.
    """
    found = {
        name: from_text(name, environ[f"MICROSOCK_{name.upper()}"])
        for name in SETTINGS
        if f"MICROSOCK_{name.upper()}" in environ
    }
    if "WEB_CONCURRENCY" in environ and "workers" not in found:
        found["workers"] = from_text("workers", environ["WEB_CONCURRENCY"])
    return found


def _known(name: str) -> Setting:
    if name not in SETTINGS:
        import difflib  # for a misspelt name only, which ends the start

        near = difflib.get_close_matches(name, SETTINGS, 1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(sorted(SETTINGS))}"
        raise BadSetting(f"unknown setting {name!r}{hint}")
    return SETTINGS[name]


def _misfit(name: str, value: object, setting: Setting, error: ValueError) -> BadSetting:
    if error.args:
        return BadSetting(f"{name}: {error}")
    return BadSetting(f"{name} is {value!r}; expected {expected(setting)}{_nearest_choice(value, setting)}")


def _nearest_choice(value: object, setting: Setting) -> str:
    if not isinstance(value, str) or not setting.choices:
        return ""
    import difflib  # for a misspelt value only, which ends the start

    near = difflib.get_close_matches(value, setting.choices, 1)
    return f"; did you mean {near[0]!r}?" if near else ""
