"""What `microsock` gives to those who import it: all of it, and nothing by accident."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

import pytest

import microsock
from microsock import errors

PUBLIC = {
    "Address",
    "App",
    "Client",
    "Clients",
    "Event",
    "EventStream",
    "Pending",
    "Request",
    "Response",
    "Server",
    "WEBSOCKET_GUID",
    "Waiting",
    "WebSocket",
    "WebSocketRoute",
    "abort",
    "blocking",
    "free_port_if_stuck",
    "is_port_free",
    "publish",
    "redirect",
    "sleep",
}


def test_the_public_names_are_these_and_every_error() -> None:
    raised = {name for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, Exception)}
    assert set(microsock.__all__) == PUBLIC | raised


def test_every_public_name_is_there_and_listed_once_in_order() -> None:
    assert all(hasattr(microsock, name) for name in microsock.__all__)
    assert microsock.__all__ == sorted(set(microsock.__all__))


def test_every_public_name_says_what_it_is_for() -> None:
    undocumented = [name for name in microsock.__all__ if name != "Waiting" and not getattr(microsock, name).__doc__]
    assert not undocumented


def test_all_errors_have_one_root() -> None:
    for name in microsock.__all__:
        value = getattr(microsock, name)
        if inspect.isclass(value) and issubclass(value, Exception):
            assert issubclass(value, microsock.MicrosockError), name


def test_the_version_is_a_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", microsock.__version__)


def test_the_server_is_imported_when_it_is_asked_for() -> None:
    script = (
        "import sys, microsock; before = 'microsock.server' in sys.modules; microsock.Server; "
        "print(before, 'microsock.server' in sys.modules, 'Server' in dir(microsock))"
    )
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert printed.split() == ["False", "True", "True"]


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'microsock' has no attribute 'Sever'$"):
        _ = microsock.Sever  # type: ignore[attr-defined]
    with pytest.raises(ImportError, match="cannot import name 'Sever' from 'microsock'"):
        exec("from microsock import Sever")
