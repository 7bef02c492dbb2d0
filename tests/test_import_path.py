"""Modules in the app's folder that have the name of a library: they never stand in for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from running import PATIENCE, wait_for_banner
from test_loading import imports_undone  # noqa: F401 - a fixture

from microsock import AppNotFound
from microsock.import_path import _NEEDED, hidden_by_libraries
from microsock.loading import load_app

APP = """
import sys
from microsock import App
app = App()
@app.get("/")
def index(request):
    return request.args.get("x", "hello")
@app.get("/{id:uuid}")
def show(request, id):
    return {"id": str(id)}
@app.websocket("/ws")
def echo(ws, message: dict):
    return message
"""
TRAP = "raise RuntimeError('{name} of the app stands in for a library')\n"
# Each is needed by something that is loaded late, or at once.
TRAPS = """
    abc argparse base64 calendar dataclasses datetime difflib enum h11 hashlib inspect ipaddress json locale logging
    pathlib platform queue random re secrets select selectors shutil signal socket ssl string struct subprocess tempfile
    threading token traceback typing unicodedata uuid weakref wsproto zlib
""".split()  # noqa: SIM905 - as a list it would fill the page
# Python itself imports these from the current folder, before `-m` has found what it is to run.
TRAPS_FOR_PYTHON = ["collections", "contextlib", "functools", "keyword", "operator", "reprlib", "types", "warnings"]
TRAP_PACKAGES = ["asyncio", "concurrent", "email", "html", "http", "urllib"]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """An app between files that raise when they are imported."""
    (tmp_path / "films.py").write_text(APP)
    for name in TRAPS:
        (tmp_path / f"{name}.py").write_text(TRAP.format(name=name))
    for name in TRAP_PACKAGES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(TRAP.format(name=name))
    return tmp_path


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "microsock", "--port", "0", *arguments]


@pytest.mark.server
@pytest.mark.parametrize("arguments", [[], ["--workers", "2"], ["--reload"]], ids=["one process", "workers", "reload"])
@pytest.mark.parametrize("target", ["films:app", "films.py"])
def test_the_server_serves_all_the_same(site: Path, arguments: list[str], target: str) -> None:
    with subprocess.Popen(
        command(*arguments, target), cwd=site, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        try:
            server = wait_for_banner(process)
            with httpx.Client(base_url=server.url, trust_env=False, timeout=PATIENCE) as client:
                assert client.get("/?x=%C3%BC").text == "ü"
                assert client.get("/12345678-1234-5678-1234-567812345678").json()["id"].startswith("12345678-")
                # What h11 reads, what wsproto would, and what is loaded for it.
                assert client.post("/", content=iter([b"a"])).status_code == 405
                handshake = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
                assert client.get("/ws", headers=handshake).status_code == 400
            assert server.stop() == 0
            server.reader.join(PATIENCE)
            assert "stands in" not in "\n".join(server.errors)
        finally:
            process.kill()


@pytest.mark.server
def test_the_installed_command_does_so_with_any_name(site: Path) -> None:
    for name in TRAPS_FOR_PYTHON:
        (site / f"{name}.py").write_text(TRAP.format(name=name))
    program = Path(sys.executable).parent / "microsock"
    done = subprocess.run([program, "--check", "films:app"], cwd=site, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.server
@pytest.mark.parametrize("arguments", [["--check"], ["--routes"], ["--app-dir", "{site}", "--check"]])
@pytest.mark.parametrize("how", [["-m", "microsock"], ["-Bm", "microsock"], ["-mmicrosock"]], ids=" ".join)
def test_the_command_does_its_work(site: Path, tmp_path: Path, arguments: list[str], how: list[str]) -> None:
    asked = [each.format(site=site) for each in arguments]
    done = subprocess.run(
        [sys.executable, *how, *asked, "films:app"], cwd=site, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.server
def test_the_current_folder_stays_importable_behind_the_apps(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "films.py").write_text("import helper, sys\n" + APP + "print(sys.path[:2])\n")
    (tmp_path / "helper.py").touch()
    done = subprocess.run(
        command("--app-dir", "src", "--check", "films"), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == str([str(tmp_path / "src"), str(tmp_path)])


def test_another_program_keeps_its_path(tmp_path: Path) -> None:
    (tmp_path / "mymicrosock").mkdir()
    (tmp_path / "mymicrosock" / "__init__.py").write_text("import microsock, sys\nprint(sys.path[0])\n")
    (tmp_path / "mymicrosock" / "__main__.py").touch()
    done = subprocess.run(
        [sys.executable, "-m", "mymicrosock"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{tmp_path}\n"


def test_a_module_of_another_name_is_the_apps_own(tmp_path: Path) -> None:
    (tmp_path / "statistics.py").write_text("MEAN = 5\n")
    (tmp_path / "films.py").write_text(APP + "import statistics\nassert statistics.MEAN == 5\n")
    done = subprocess.run(command("--check", "films"), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# What is said.


@pytest.mark.parametrize(
    "uses", ["from calendar import events", "import calendar\ncalendar.events()"], ids=["from", "attribute"]
)
def test_an_app_that_expects_its_own_module_is_told_to_rename_it(tmp_path: Path, uses: str) -> None:
    (tmp_path / "calendar.py").write_text("def events(): return []\n")
    (tmp_path / "films.py").write_text(f"{APP}{uses}\n")
    with pytest.raises(AppNotFound, match=r'"calendar" is a library that microsock needs.*: rename it$'):
        load_app("films", tmp_path)


def test_so_is_one_that_is_named_so_itself(tmp_path: Path) -> None:
    (tmp_path / "signal.py").write_text(APP)
    with pytest.raises(AppNotFound, match=r'no attribute "app"; "signal" is a library that microsock needs'):
        load_app("signal:app", tmp_path)
    with pytest.raises(AppNotFound, match=r'"signal\.py" is hidden by another module'):
        load_app("signal.py", tmp_path)


# Which names they are.


def test_modules_and_packages_count_and_nothing_else(tmp_path: Path) -> None:
    for name in ("json.py", "ssl.cpython-311-x86_64-linux-gnu.so", "films.py", "random.txt", "email.html"):
        (tmp_path / name).touch()
    for name in ("http", "html"):
        (tmp_path / name).mkdir()
    (tmp_path / "http" / "__init__.py").touch()
    assert hidden_by_libraries(str(tmp_path)) == ["http", "json", "ssl"]
    assert hidden_by_libraries(str(tmp_path / "nowhere")) == []


def test_the_names_are_all_that_microsock_and_what_it_stands_on_may_load(unmeasured: None) -> None:
    program = """
import importlib, pkgutil, sys, microsock
for found in pkgutil.walk_packages(microsock.__path__, "microsock."):
    if ".testing" not in found.name and not found.name.endswith("__main__"):
        importlib.import_module(found.name)
microsock.server.spare.load(websockets=True)
import logging.config, redis, watchfiles
print(*sys.modules)
"""
    found = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {name.partition(".")[0] for name in found.stdout.split()}
    libraries = {name for name in loaded if name in sys.stdlib_module_names and name[0] != "_"}
    assert libraries - set(sys.builtin_module_names) - _NEEDED == set()
    assert {"h11", "wsproto"} <= _NEEDED
