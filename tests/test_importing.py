"""``app.run()`` in a module that the command imports: refused, with the guard to write."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import PATIENCE, running
from test_loading import imports_undone  # noqa: F401 - a fixture

from microsock import App, SetupError
from microsock.importing import serves_app
from microsock.loading import load_app

APP = """
from microsock import App, Server
app = App()
@app.get("/")
def index(request):
    return "hello"
"""
CALLS = {
    "at the end": "app.run(port=0)",
    "with workers": "app.run(port=0, workers=2)",
    "its status for the shell": "import sys\nsys.exit(app.run(port=0))",
    "a server": "Server(app, port=0, autostart=False).run()",
    "a server under with": "with Server(app, port=0) as server:\n    server.run()",
    "a server of workers": "Server(app, port=0, autostart=False).run(simultaneous=True)",
    "another app": "App().run(port=0)",
    "in a thread": "import threading\nt = threading.Thread(target=app.run, kwargs={'port': 0})\nt.start()\nt.join()",
    "caught": "try:\n    app.run(port=0)\nexcept Exception:\n    pass",
}
ASKED = {
    "one process": [],
    "workers": ["--workers", "2"],
    "--check": ["--check"],
    "--routes": ["--routes"],
}


@pytest.fixture(autouse=True)
def nothing_is_served() -> Iterator[None]:
    yield
    serves_app(None)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_it_is_refused_during_the_import_with_the_guard_to_write(tmp_path: Path, call: str) -> None:
    (tmp_path / "shop.py").write_text(APP + call + "\n")
    with pytest.raises(SetupError, match=r'while importing shop.*run\(\) is called.*if __name__ == "__main__":'):
        load_app("shop", tmp_path)


def test_a_factory_that_runs_its_app_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APP + "def create():\n    app.run(port=0)\n    return app\n")
    with pytest.raises(SetupError, match=r'while calling "shop:create": SetupError: app\.run'):
        load_app("shop:create", tmp_path, factory=True)


def test_behind_the_guard_it_is_not_called(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APP + 'if __name__ == "__main__":\n    app.run(port=0)\n')
    assert isinstance(load_app("shop", tmp_path), App)


def test_a_server_that_is_only_made_or_runs_in_a_thread_beside_the_import_is_nobodys_mistake(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        APP + "import threading\nadmin = Server(App(), port=0)\n"
        "thread = threading.Thread(target=admin.run)\nthread.start()\nadmin.shutdown()\nthread.join()\n"
        "with Server(app, port=0):\n    pass\n"
    )
    assert isinstance(load_app("shop", tmp_path), App)


def test_a_thread_that_comes_too_late_for_the_import_is_refused_as_well(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APP)
    app = load_app("shop", tmp_path)
    raised: list[BaseException] = []

    def run() -> None:
        try:
            app.run(port=0)
        except SetupError as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert len(raised) == 1


# As a process.


@pytest.mark.server
@pytest.mark.parametrize("arguments", ASKED.values(), ids=ASKED.keys())
def test_the_command_ends_with_status_3_and_names_the_line(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "shop.py").write_text(APP + "app.run(port=0)\n")
    command = [sys.executable, "-m", "microsock", "-p", "0", *arguments, "shop:app"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert ended.returncode == 3, ended.stderr
    assert "error: while importing shop.py: SetupError: app.run() is called" in ended.stderr
    assert 'if __name__ == "__main__":' in ended.stderr
    assert "    app.run(port=0)" in ended.stderr
    assert "Listening" not in ended.stderr or "--workers" in arguments


@pytest.mark.server
def test_under_reload_the_page_says_it(tmp_path: Path) -> None:
    import httpx

    path = tmp_path / "shop.py"
    path.write_text(APP + "app.run(port=0)\n")
    with running("--reload", str(path)) as server:
        answer = httpx.get(server.url, trust_env=False, timeout=PATIENCE)
        assert answer.status_code == 500
        assert "__main__" in answer.text
        server.stop()
        # The refusal's traceback is the child's last word on standard error.
        server.errors.clear()


@pytest.mark.server
def test_as_a_program_it_runs(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        APP + "import os, signal\n@app.on_start\ndef started():\n    os.kill(os.getpid(), signal.SIGTERM)\n"
        'if __name__ == "__main__":\n    raise SystemExit(app.run(port=0))\n'
    )
    ended = subprocess.run([sys.executable, "shop.py"], cwd=tmp_path, timeout=PATIENCE, check=False)
    assert ended.returncode == 0
