"""`--reload` in a real process: what it serves while files change, and how it ends."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from running import status_of

from microsock.cli import main

pytestmark = pytest.mark.server

PATIENCE = 30.0

APP = """
from microsock import App
app = App()

@app.get("/")
def index(request):
    return "one"

@app.get("/pid")
def pid(request):
    import os
    return str(os.getpid())

@app.websocket("/echo")
def echo(ws, message):
    return message
"""
STUCK = """
@app.get("/stuck")
def stuck(request):
    import time
    open("stuck", "w").close()
    while True:
        time.sleep(9)
"""
WITHOUT_WATCHFILES = "import sys; sys.modules['watchfiles'] = None; from microsock.cli import main; sys.exit(main())"
BROKEN = APP + "\nimport nowhere_to_be_found\n"


class Reloader:
    """`microsock --reload films:app` in a directory, and its output."""

    def __init__(self, site: Path, *arguments: str, watchfiles: bool = True, **environment: str) -> None:
        self.site = site
        program = ["-m", "microsock"] if watchfiles else ["-c", WITHOUT_WATCHFILES]
        command = [sys.executable, *program, "--port", "0", "--no-access-log", *arguments, "films:app"]
        self.process = subprocess.Popen(
            command, cwd=site, env={**os.environ, **environment}, text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        self.errors = ""
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        try:
            self.says("Listening on")
        except BaseException:
            self.kill()
            raise
        found = re.search(r"http://127\.0\.0\.1:(\d+)", self.errors)
        assert found
        self.port = int(found[1])

    def _read(self) -> None:
        assert self.process.stderr is not None
        with suppress(ValueError):  # closed under us, where a test fails
            for line in self.process.stderr:
                self.errors += line

    def says(self, text: str, times: int = 1) -> None:
        eventually(lambda: self.errors.count(text) >= times, lambda: self.errors)

    def write(self, text: str) -> None:
        (self.site / "films.py").write_text(text)

    def get(self, path: str = "/", accept: str = "*/*", method: str = "GET") -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request(method, path, headers={"Accept": accept, "Connection": "close"})
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, body

    def connect(self, path: str) -> socket.socket:
        """A client that has asked; where the backlog has no room for it, this fails."""
        client = socket.create_connection(("127.0.0.1", self.port), 0.5)
        client.settimeout(PATIENCE)
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        return client

    def becomes(self, status: int, text: str) -> None:
        eventually(lambda: (found := self.get())[0] == status and text in found[1], lambda: str(self.get()))

    def pid(self) -> int:
        return int(self.get("/pid")[1])

    def end(self, *signals: signal.Signals) -> int:
        for signum in signals:
            self.process.send_signal(signum)
        status = status_of(self.process)
        self.close()
        return status

    def kill(self) -> None:
        """At the end of a test: all of them at once. The one that watches files sees within a second only that it is
        alone."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.close()

    def close(self) -> None:
        self.process.kill()
        status_of(self.process)
        # At the end of the last of its children.
        self.reader.join(PATIENCE)
        assert self.process.stderr is not None
        self.process.stderr.close()


def eventually(holds: Callable[[], object], told: Callable[[], str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, told()
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Reloader]]:
    started: list[Reloader] = []

    def start(app: str = APP, *arguments: str, **environment: str) -> Reloader:
        (tmp_path / "films.py").write_text(app)
        started.append(Reloader(tmp_path, *(arguments or ("--reload",)), watchfiles=True, **environment))
        return started[-1]

    yield start
    for each in started:
        each.kill()


@pytest.fixture(scope="module")
def reloader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reloader]:
    """One that fails in every way, each time mended, and in the end is asked to stop."""
    site = tmp_path_factory.mktemp("site")
    (site / "films.py").write_text(APP + "\n1 / 0\n")
    reloader = Reloader(site, "--reload")
    try:
        reloader.becomes(500, "division by zero")
        yield reloader
        assert reloader.end(signal.SIGINT) == 0
    finally:
        reloader.kill()


def test_a_changed_file_is_served_by_a_new_process(start: Callable[..., Reloader]) -> None:
    server = start()
    assert server.get() == (200, "one")
    pid = server.pid()
    server.write(APP.replace("one", "two"))
    server.becomes(200, "two")
    assert not is_alive(pid)
    assert "Reloading: films.py changed\n" in server.errors
    server.says("Serving 2 routes, 1 websocket\n", 2)
    assert server.end(signal.SIGTERM) == 0


def test_two_changes_of_one_second_and_one_size_are_two_changes(start: Callable[..., Reloader]) -> None:
    server = start()
    for word in ("two", "six", "ten", "one", "two"):
        server.write(APP.replace("one", word))
        server.becomes(200, word)


def test_a_module_that_the_app_imports_counts_too(start: Callable[..., Reloader], tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").write_text("NAME = 'old'")
    server = start(APP.replace('return "one"', "import shop; return shop.NAME"))
    assert server.get() == (200, "old")
    (tmp_path / "shop" / "__init__.py").write_text("NAME = 'new'")
    server.becomes(200, "new")


# Files that the app writes itself.

SELF_WRITTEN = {
    "the same each time": "open('version.py', 'w').write('VERSION = 1')",
    "another each time": "import time; open('version.py', 'w').write(f'VERSION = {time.time()}')",
    "moved there": "import os; open('v', 'w').close(); os.replace('v', 'version.py')",
    "in on_start": "@app.on_start\ndef write():\n    open('version.py', 'a').write('#')",
    "again and again": "@app.every(0.1)\ndef write():\n    open('version.py', 'a').write('#')",
}


@pytest.mark.parametrize("writes", SELF_WRITTEN.values(), ids=SELF_WRITTEN.keys())
def test_a_file_that_the_app_writes_itself_starts_no_reload(start: Callable[..., Reloader], writes: str) -> None:
    server = start(f"{APP}\n{writes}\n")
    server.says("version.py is written by the app itself: that starts no reload\n")
    server.write(f"{APP.replace('one', 'two')}\n{writes}\n")
    server.becomes(200, "two")
    server.write(f"{APP.replace('one', 'three')}\n{writes}\n")
    server.becomes(200, "three")
    assert server.errors.count("Reloading") == 2
    assert server.errors.count("is written by the app itself") == 1


def test_a_file_that_the_app_has_written_by_another_program_is_waited_for(start: Callable[..., Reloader]) -> None:
    program = "date +%N > version.py"
    server = start(f"{APP}\nimport os; os.system({program!r})\n")
    server.says("version.py changes whenever the app starts")
    reloads, began = server.errors.count("Reloading"), time.monotonic()
    server.says("Reloading", reloads + 2)
    assert time.monotonic() - began >= 0.5


def test_somebody_may_change_a_file_that_the_app_has_written(start: Callable[..., Reloader], tmp_path: Path) -> None:
    server = start(f"{APP}\nopen('version.py', 'a').write('#')\n")
    server.says("version.py is written by the app itself")
    time.sleep(1.5)  # longer than such a change counts as the app's
    (tmp_path / "version.py").write_text("by hand")
    server.says("Reloading: version.py changed")


# Links.


@pytest.mark.parametrize("watchfiles", [True, False], ids=["with watchfiles", "without watchfiles"])
def test_a_package_that_is_a_link_is_watched_where_it_really_is(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, watchfiles: bool
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "__init__.py").write_text("NAME = 'old'")
    (tmp_path / "shop").symlink_to(elsewhere)
    (tmp_path / "films.py").write_text(APP.replace('return "one"', "import shop; return shop.NAME"))
    server = Reloader(tmp_path, "--reload", watchfiles=watchfiles)
    try:
        assert server.get() == (200, "old")
        (elsewhere / "__init__.py").write_text("NAME = 'new'")
        server.becomes(200, "new")
    finally:
        server.kill()


def test_nobody_is_refused_while_it_reloads(start: Callable[..., Reloader]) -> None:
    server = start()
    answers: list[tuple[int, str]] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            answers.append(server.get())

    asker = threading.Thread(target=ask)
    asker.start()
    for word in ("two", "ten", "six"):
        server.write(APP.replace("one", word))
        eventually(lambda word=word: answers[-1:] == [(200, word)], lambda: str(answers[-1:]))  # type: ignore[misc]
    done.set()
    asker.join(PATIENCE)
    assert {status for status, _ in answers} == {200}


def test_while_the_app_does_not_import_the_error_is_served(start: Callable[..., Reloader]) -> None:
    server = start()
    server.write(BROKEN)
    server.becomes(500, "No module named 'nowhere_to_be_found'")
    status, page = server.get("/any/path?x=1", "text/html,*/*", "POST")
    assert status == 500
    assert "<h1>while importing films.py: ModuleNotFoundError" in page
    assert "line 18, in &lt;module&gt;" in page
    assert "error: while importing films.py: ModuleNotFoundError" in server.errors
    server.write(APP.replace("one", "two"))
    server.becomes(200, "two")


def test_it_starts_with_an_app_that_does_not_import(start: Callable[..., Reloader]) -> None:
    server = start(BROKEN)
    server.becomes(500, "nowhere_to_be_found")
    server.write(APP)
    server.becomes(200, "one")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("\n@app.on_start\ndef fail():\n    1 / 0\n", "on_start raised ZeroDivisionError"),
        ("\nif True print()\n", "SyntaxError"),
        ("\nimport sys; sys.exit(7)\n", "SystemExit: 7"),
        ("\nimport os; os._exit(7)\n", "the server ended with status 7"),
        ("\nimport os; os.kill(os.getpid(), 11)\n", "the server was ended by SIGSEGV"),
        ("\ndel app\n", 'module "films" has no attribute "app"'),
        ("\n1 / 0  # <script>\n", "division by zero"),
    ],
)
def test_every_way_to_fail_is_told_and_mended(reloader: Reloader, more: str, said: str) -> None:
    reloader.write(APP + more)
    reloader.becomes(500, said)
    assert "<script>\n1" not in reloader.get("/", "text/html")[1]
    reloader.write(APP)
    reloader.becomes(200, "one")


def test_a_failed_app_whose_thread_does_not_end_does_not_hold_it_up(start: Callable[..., Reloader]) -> None:
    stay = "\nimport threading\nthreading.Thread(target=threading.Event().wait).start()\n1 / 0\n"
    server = start(APP + stay)
    server.becomes(500, "division by zero")


def test_a_handler_that_never_returns_is_left(start: Callable[..., Reloader], tmp_path: Path) -> None:
    server = start(APP + STUCK)
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"GET /stuck HTTP/1.1\r\nHost: localhost\r\n\r\n")
        eventually((tmp_path / "stuck").exists, str)
        server.write(APP.replace("one", "two"))
        server.becomes(200, "two")


def test_hup_reloads_what_has_not_changed(start: Callable[..., Reloader]) -> None:
    server = start()
    pid = server.pid()
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: server.pid() != pid, str)


def test_who_waits_in_the_backlog_is_the_next_ones_to_answer(start: Callable[..., Reloader], tmp_path: Path) -> None:
    server = start(
        APP
        + """
@app.get("/held")
def held(request):
    import time
    open("held", "w").close()
    time.sleep(0.5)
    return "held"
"""
    )
    for _ in range(2):  # the second one finds the backlog as the first one has
        pid = server.pid()
        held = server.connect("/held")
        eventually((tmp_path / "held").exists, str)
        behind = [server.connect("/pid") for _ in range(5)]
        server.process.send_signal(signal.SIGHUP)
        assert held.recv(1000).endswith(b"held")
        answers = {each.recv(1000).rpartition(b"\r\n")[2] for each in behind}
        assert len(answers) == 1
        assert answers != {str(pid).encode()}
        (tmp_path / "held").unlink()
        for each in (held, *behind):
            each.close()


def test_commands_reach_it_as_they_reach_any_server(start: Callable[..., Reloader], tmp_path: Path) -> None:
    server = start(APP, "--reload", "--pid-file", str(tmp_path / "pid"))
    pid = server.pid()
    assert int((tmp_path / "pid").read_text().split()[0]) == server.process.pid
    assert main(["reload", "--pid-file", str(tmp_path / "pid")]) == 0
    eventually(lambda: server.pid() != pid, str)
    assert main(["stop", "--pid-file", str(tmp_path / "pid")]) == 0
    assert server.end() == 0
    assert not (tmp_path / "pid").exists()


def test_the_environment_can_ask_for_it_and_say_where(start: Callable[..., Reloader], tmp_path: Path) -> None:
    (tmp_path / "watched").mkdir()
    watched = str(tmp_path / "watched")
    server = start(APP, "--grace", "1", MICROSOCK_RELOAD="true", MICROSOCK_RELOAD_DIR=watched)
    pid = server.pid()
    server.write(APP.replace("one", "two"))
    (tmp_path / "watched" / "page.html").touch()
    eventually(lambda: server.pid() != pid, str)
    assert f"Reloading: {Path('watched/page.html')} changed" in server.errors
    assert server.get() == (200, "two")


# How it ends.


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_ends_it_with_0_and_no_process_stays(start: Callable[..., Reloader], signum: signal.Signals) -> None:
    server = start()
    pid = server.pid()
    assert server.end(signum) == 0
    assert not is_alive(pid)
    assert "Traceback" not in server.errors


def test_ctrl_c_to_both_is_one_key_and_a_second_one_is_status_130(
    start: Callable[..., Reloader], tmp_path: Path
) -> None:
    server = start(APP + STUCK)
    pid = server.pid()
    os.kill(pid, signal.SIGINT)
    assert server.pid() == pid
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"GET /stuck HTTP/1.1\r\nHost: localhost\r\n\r\n")
        eventually((tmp_path / "stuck").exists, str)
        eventually(lambda: status_line(pid, "State").startswith("S"), str)
        before = status_line(pid, "voluntary_ctxt_switches")
        server.process.send_signal(signal.SIGINT)
        server.says("Stopping")
        # Once it sleeps again it has taken the first signal: the kernel would make one of two that come before.
        eventually(lambda: status_line(pid, "voluntary_ctxt_switches") != before, str)
        assert server.end(signal.SIGINT) == 130
    assert not is_alive(pid)


def status_line(pid: int, name: str) -> str:
    """What the kernel says of a process (proc(5))."""
    found = re.search(rf"^{name}:\t(.*)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    return found[1]


def test_when_the_parent_is_killed_no_child_stays(start: Callable[..., Reloader]) -> None:
    server = start()
    pid = server.pid()
    server.end(signal.SIGKILL)
    eventually(lambda: not is_alive(pid), lambda: str(pid))


def test_a_server_that_ends_by_itself_ends_it(start: Callable[..., Reloader]) -> None:
    server = start(
        APP
        + "\n@app.get('/end')\ndef end(request):\n    import os, signal\n    os.kill(os.getpid(), 15)\n    return ''\n"
    )
    assert server.get("/end") == (200, "")
    assert server.end() == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-w", "2"], "workers is 2; with --reload there is one"),
        (["-w", "auto"], "workers is 'auto'; with --reload there is one"),
        (["--runner", "preforked"], "runner is 'preforked'; with --reload it is sequential"),
    ],
)
def test_it_has_one_worker(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--reload", *arguments, "films"]) == 2
    assert capsys.readouterr().err == f"error: {message}\n"


def test_a_port_in_use_is_status_4(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["--reload", "-p", str(taken.getsockname()[1]), "films"]) == 4
    assert "is in use by pid" in capsys.readouterr().err


# The page.


@pytest.mark.browser
def test_the_page_goes_away_by_itself_when_the_app_works_again(
    start: Callable[..., Reloader], browser: Browser
) -> None:
    server = start(BROKEN)
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{server.port}/#here")
    expect(page.get_by_role("heading")).to_contain_text("nowhere_to_be_found")
    server.write(BROKEN.replace("nowhere_to", "never_to"))
    expect(page.get_by_role("heading")).to_contain_text("never_to_be_found")
    server.write(APP)
    expect(page.locator("body")).to_have_text("one")
    page.close()
