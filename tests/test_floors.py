"""The floors of the house: imports only go down, and each library has its room.

The rules stand in docs/design.md. The package is read with `ast`, so that nothing needs to be imported.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parent.parent / "microsock"

# A room is a module or a whole folder; a new one must be given its floor here.
FLOORS = [
    {
        "environment",
        "errors",
        "failures",
        "forked",
        "headers",
        "importing",
        "json_codec",
        "log",
        "networks",
        "rates",
        "settings",
        "startup",
        "values",
    },
    {"request", "response"},
    {
        "rules",
        "routing",
        "signatures",
        "hooks",
        "waits",
        "websocket",
        "websocket_route",
        "topics",
        "registry",
        "app",
        "messages",
        "origin",
        "eventstream",
        "jobs",
        "mistakes",
        "envelope",
        "limits",
        "clients",
        "guards",
        "protocol",
        "proxies",
        "board",
        "status",
        "prometheus",
        "status_html",
        "allowed_hosts",
        "loopback",
        "status_page",
        "tally",
        "buffered",
    },
    {"site", "exchange", "gate", "conversation", "script", "answer", "streaming", "following", "history", "schedule"}
    | {"cleanup"}
    | {"bus", "follower_counts", "joining", "relay", "slow_reader", "worker_bus"},
    {"server", "adapters"},
    {"runners"},
    {"checking", "cli", "commands", "flag_hints", "import_path", "loading", "__main__", "testing"},
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

# Where the outside world begins: nothing below may touch it.
SERVER_FLOOR = 4
OUTSIDE = {"fcntl", "mmap", "os", "pathlib", "select", "selectors", "shutil", "signal", "socket", "ssl"}
OUTSIDE |= {"subprocess", "tempfile", "threading", "time"}
# Ctrl+C interrupts the main thread, and only there a KeyboardInterrupt is the user's.
MAY_TELL_THE_MAIN_THREAD = ("failures", "threading")
# The upward doors: `app.run()`, `app.test_client()` and `server.run(simultaneous=True)` import what they need when they
# are called.
DOORS = {("app", "run"), ("app", "test_client"), ("server.server", "_run_workers")}
# Who may know a library.
LIBRARIES = {"h11": {"protocol", "testing"}, "wsproto": {"protocol", "testing"}, "httpx": {"testing"}}


class Import(NamedTuple):
    """One imported module, as seen from the module that imports it."""

    importer: str
    imported: str
    line: int

    def __str__(self) -> str:
        return f"{self.importer} imports {self.imported} (line {self.line})"


def room(module: str) -> str:
    """The first part of a module's name within the package: `server.loop` is in `server`."""
    return module.partition(".")[0]


def modules() -> dict[str, ast.Module]:
    """Every module of the package by its dotted name; the package's own `__init__` stands above all floors."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        if name != "__init__":
            found[name] = ast.parse(path.read_text(), str(path))
    return found


def imports(name: str, tree: ast.Module) -> Iterator[Import]:
    """What a module imports at run time: from the package as `.name`, from elsewhere as it is written."""
    for node in run_time_nodes(name, tree):
        if isinstance(node, ast.Import):
            yield from (Import(name, alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (Import(name, target, node.lineno) for target in targets(name, node))


def run_time_nodes(name: str, node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but what stands under `if TYPE_CHECKING:` or behind one of the doors."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.FunctionDef) and (name, child.name) in DOORS:
            continue
        yield child
        yield from run_time_nodes(name, child)


def targets(name: str, node: ast.ImportFrom) -> list[str]:
    """The modules that a `from … import …` names."""
    if node.level == 0:
        return [node.module or ""]
    here = name.removesuffix(".__init__").split(".") if name.endswith(".__init__") else name.split(".")[:-1]
    base = ".".join(here[: len(here) + 1 - node.level] + ([node.module] if node.module else []))
    # `from . import x` and `from .server import x` may name modules; take what is one.
    dotted = [f"{base}.{alias.name}".lstrip(".") for alias in node.names]
    return [f".{target if is_module(target) else base}" for target in dotted]


def is_module(name: str) -> bool:
    path = PACKAGE.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or path.is_dir()


ALL = {name: list(imports(name, tree)) for name, tree in modules().items()}
INSIDE = [
    found._replace(imported=found.imported[1:]) for each in ALL.values() for found in each if found.imported[:1] == "."
]
FROM_ELSEWHERE = [found for each in ALL.values() for found in each if found.imported[:1] != "."]


def listed(found: list[Import]) -> str:
    return "\n".join(map(str, found))


def test_every_module_has_a_floor() -> None:
    assert {room(name) for name in ALL} - FLOOR.keys() == set()


def test_imports_only_go_down() -> None:
    up = [found for found in INSIDE if FLOOR[room(found.imported)] > FLOOR[room(found.importer)]]
    assert not up, listed(up)


def test_the_app_and_the_protocol_never_meet() -> None:
    crossing = [
        found
        for found in INSIDE
        if FLOOR[room(found.importer)] == FLOOR[room(found.imported)] == FLOOR["protocol"]
        and (room(found.importer) == "protocol") != (room(found.imported) == "protocol")
    ]
    assert not crossing, listed(crossing)


def test_no_imports_run_in_a_circle() -> None:
    graph: dict[str, set[str]] = {name: set() for name in ALL}
    for found in INSIDE:
        imported = found.imported if found.imported in ALL else f"{found.imported}.__init__"
        graph[found.importer] |= {imported} - {found.importer}
    TopologicalSorter(graph).prepare()


def test_the_world_outside_begins_on_the_servers_floor() -> None:
    outside = [
        f
        for f in FROM_ELSEWHERE
        if FLOOR[room(f.importer)] < SERVER_FLOOR
        and room(f.imported) in OUTSIDE
        and (f.importer, f.imported) != MAY_TELL_THE_MAIN_THREAD
    ]
    assert not outside, listed(outside)


def test_no_file_is_opened_below_the_servers_floor() -> None:
    for name, tree in modules().items():
        if FLOOR[room(name)] < SERVER_FLOOR:
            called = {
                node.func.id
                for node in ast.walk(tree)
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            }
            assert "open" not in called, f"{name} opens a file"


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_is_known_in_its_room_only(library: str) -> None:
    strangers = [
        f for f in FROM_ELSEWHERE if room(f.imported) == library and room(f.importer) not in LIBRARIES[library]
    ]
    assert not strangers, listed(strangers)


def test_the_package_speaks_of_itself_in_relative_imports() -> None:
    absolute = [found for found in FROM_ELSEWHERE if room(found.imported) == "microsock"]
    assert not absolute, listed(absolute)


SAMPLE = """
from __future__ import annotations
import os.path
from typing import TYPE_CHECKING
from . import settings
from .protocol import scanner
from .errors import SetupError
if TYPE_CHECKING:
    from .server.loop import Loop
class App:
    def run(self):
        from .runners import sequential
    def other(self):
        from .testing import memory
"""


def test_the_reader_sees_hidden_imports_and_passes_over_the_doors() -> None:
    seen = {found.imported for found in imports("app", ast.parse(SAMPLE))}
    elsewhere = {"__future__", "os.path", "typing"}
    assert seen - elsewhere == {".settings", ".protocol.scanner", ".errors", ".testing.memory"}


def test_the_reader_resolves_imports_from_inside_a_folder() -> None:
    tree = ast.parse("from ..errors import SetupError\nfrom .timers import Timers\nfrom . import timers")
    assert [found.imported for found in imports("server.loop", tree)] == [".errors", ".server.timers", ".server.timers"]
    assert [found.imported for found in imports("server.__init__", tree)] == [
        ".errors",
        ".server.timers",
        ".server.timers",
    ]
