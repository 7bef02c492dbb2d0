"""Which environment variables that begin with ``MICROSOCK_`` mean nothing, and what they may have been meant to be.

Pure: the environment is handed in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from .settings import SETTINGS

__all__ = ["complaints", "is_injected", "port_in"]

_PREFIX = "MICROSOCK_"
# Beside the settings: what the command has as flags of its own.
_OF_THE_COMMAND = (
    "app", "app_dir", "bind", "config", "env_file", "factory", "host", "port", "reload", "reload_dir", "runner",
)  # fmt: skip
# What Kubernetes gives every container for a service whose name begins with "microsock", as Docker's links did:
# MICROSOCK_SERVICE_HOST, MICROSOCK_WEB_SERVICE_PORT_HTTP, MICROSOCK_PORT_80_TCP_ADDR.
_INJECTED = r"MICROSOCK_(?:.*_)?(?:SERVICE_(?:HOST|PORT(?:_.*)?)|PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)"
# MICROSOCK_PORT=tcp://10.0.0.7:80, and MICROSOCK_WEB_PORT.
_ADDRESSES = ("tcp://", "udp://", "sctp://")


def is_injected(name: str, value: str) -> bool:
    """Whether Kubernetes has set it, and nobody meant it for us."""
    if name.endswith("_PORT") and value.startswith(_ADDRESSES):
        return True
    return re.compile(_INJECTED).fullmatch(name) is not None


def port_in(environ: Mapping[str, str]) -> str | None:
    """``MICROSOCK_PORT``, if it is one of ours."""
    value = environ.get("MICROSOCK_PORT")
    return None if value is None or is_injected("MICROSOCK_PORT", value) else value


def complaints(environ: Mapping[str, str]) -> list[str]:
    """A line for each variable that means nothing, with the nearest one that does."""
    known = {f"{_PREFIX}{name.upper()}" for name in (*SETTINGS, *_OF_THE_COMMAND)}
    unknown = [name for name in environ if name.startswith(_PREFIX) and name not in known]
    return [_complaint(name, known) for name in sorted(unknown) if not is_injected(name, environ[name])]


def _complaint(name: str, known: set[str]) -> str:
    import difflib  # for a misspelt name only

    # By what follows the prefix, which is alike in all of them.
    near = difflib.get_close_matches(name.removeprefix(_PREFIX), [each.removeprefix(_PREFIX) for each in known], 1)
    return f"the environment variable {name} means nothing" + (f"; did you mean {_PREFIX}{near[0]}?" if near else "")
