"""What a plain app loads to start, and what it loads soon after; why stands in docs/design.md."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

PATIENCE = 30

# A server of its own process; when it has taken a turn, and again when it has loaded what it may come to need.
SCRIPT = """
import sys
from microsock import App, Server
from microsock.server import spare
app = App()
@app.get("/")
def home(request):
    return "x"
{routes}
def hold():
    print(*sys.modules, flush=True)
with Server(app, port=0, {settings}) as server:
    server.listen_for_commands()
    server.step()
    hold()
    server.step(2 * spare.SECONDS)
    hold()
"""

# None of it is needed to answer a plain request. Beside what is large these are the doors to it.
NOT_AT_START = {
    "asyncio", "configparser", "dataclasses", "difflib", "email", "h11", "hashlib", "http", "inspect", "ipaddress",
    "json", "logging.config", "multiprocessing", "pathlib", "platform", "random", "redis", "secrets", "shutil", "ssl",
    "subprocess", "tempfile", "typing_extensions", "urllib", "uuid", "wsproto", "_hashlib", "unicodedata",
    "microsock.adapters.freeing", "microsock.adapters.pidfile", "microsock.adapters.ports",
    "microsock.adapters.redis_bus", "microsock.adapters.shared_table", "microsock.conversation", "microsock.gate",
    "microsock.limits", "microsock.protocol.frames", "microsock.protocol.strict", "microsock.relay",
    "microsock.runners.preforked", "microsock.status", "microsock.server.certificates", "microsock.server.tls",
    "microsock.server.unixsocket", "microsock.status_page", "microsock.testing", "microsock.worker_bus",
}  # fmt: skip
# What a peer can bring about at any time, also when no descriptor is left to read a file.
SOON_AFTER = {"h11", "ipaddress", "json", "opcode", "encodings.utf_8_sig"}
SOON_AFTER |= {"microsock.cleanup", "microsock.following", "microsock.status"}
WITH_WEBSOCKETS = {"wsproto", "urllib.parse", "microsock.conversation", "microsock.protocol.strict", "microsock.origin"}

WEBSOCKET = """
@app.websocket("/ws")
def echo(ws, message):
    return message
"""


def loaded(tmp_path: Path, *, routes: str = "", settings: str = "") -> tuple[set[str], set[str]]:
    """The modules after the first turn, and after those that are loaded soon after it."""
    script = tmp_path / "plain.py"
    script.write_text(SCRIPT.format(routes=routes, settings=settings))
    # Without site-packages' own start-up files, which load what they like; the paths are this interpreter's.
    paths = (
        f"import sys; sys.path[:] = {sys.path!r}; import runpy; runpy.run_path({str(script)!r}, run_name='__main__')"
    )
    command = [sys.executable, "-S", "-E", "-c", paths]
    found = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert found.returncode == 0, found.stderr
    first, second = found.stdout.splitlines()
    return set(first.split()), set(second.split())


def test_what_is_looked_for_are_names_of_modules() -> None:
    # Else the absence of one that has moved would say nothing.
    names = NOT_AT_START | SOON_AFTER | WITH_WEBSOCKETS
    assert sorted(name for name in names if find_spec(name) is None) == []


def test_a_plain_app_starts_without_what_it_may_never_need(tmp_path: Path) -> None:
    at_start, soon_after = loaded(tmp_path)
    assert {"microsock.app", "microsock.server.access", "socket"} <= at_start
    assert at_start & NOT_AT_START == set()
    assert soon_after >= SOON_AFTER
    assert soon_after & {"wsproto", "ssl", "microsock.conversation", "microsock.gate", "redis"} == set()


def test_without_an_access_log_what_formats_its_lines_is_not_loaded(tmp_path: Path) -> None:
    at_start, soon_after = loaded(tmp_path, settings="access_log=False")
    assert "microsock.server.access" not in at_start | soon_after


def test_an_app_with_websockets_has_all_of_them_soon_after_its_start(tmp_path: Path) -> None:
    at_start, soon_after = loaded(tmp_path, routes=WEBSOCKET)
    assert "wsproto" not in at_start
    assert soon_after >= SOON_AFTER | WITH_WEBSOCKETS


@pytest.mark.parametrize("settings", ["websocket=False"])
def test_where_websockets_are_not_served_nothing_of_them_is_loaded(tmp_path: Path, settings: str) -> None:
    _, soon_after = loaded(tmp_path, routes=WEBSOCKET, settings=settings)
    assert "wsproto" not in soon_after


def test_where_requests_are_counted_the_gate_is_there_before_the_first(tmp_path: Path) -> None:
    at_start, _ = loaded(tmp_path, settings="rate_limit='5/second'")
    assert at_start >= {"microsock.gate", "microsock.limits", "hashlib"}
