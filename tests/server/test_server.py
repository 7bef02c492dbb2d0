from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from microsock import (
    Address,
    App,
    BadSetting,
    Overloaded,
    Pending,
    PortInUseError,
    Request,
    Response,
    Server,
    SetupError,
)
from microsock.errors import BindError
from microsock.server import spare
from microsock.server.connection import Connection

pytestmark = pytest.mark.server

HELLO = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.fixture
def app() -> App:
    app = App()

    @app.get("/")
    def hello(request: Request) -> str:
        return "hello"

    return app


def text(answer: str) -> Callable[[Request], str]:
    """A handler that always gives this answer."""

    def handler(request: Request) -> str:
        return answer

    return handler


class Waiting:
    """An app whose handler answers when it is told to."""

    def __init__(self) -> None:
        self.app = App()
        self.answers: list[Pending] = []
        self.app.add_route("/", self.answer, ["GET"])

    def answer(self, request: Request) -> Pending:
        self.answers.append(Pending(finite=True))
        return self.answers[-1]


@pytest.fixture
def waiting() -> Waiting:
    return Waiting()


@pytest.fixture
def server(app: App) -> Iterator[Server]:
    with Server(app, port=0) as server:
        yield server


@contextlib.contextmanager
def client_of(server: Server, request: bytes = HELLO) -> Iterator[socket.socket]:
    """A client that has sent its request; it never waits for long."""
    with socket.create_connection(server.address) as client:
        client.sendall(request)
        client.settimeout(10)
        yield client


def received(client: socket.socket) -> bytes:
    """Everything until the server closes."""
    return b"".join(iter(lambda: client.recv(65536), b""))


def turn(server: Server, client: socket.socket) -> bytes:
    """What a client gets from a server that is driven from here, until it closes."""
    client.setblocking(False)
    data = b""
    while True:
        server.step(0.01)
        with contextlib.suppress(BlockingIOError):
            piece = client.recv(65536)
            if not piece:
                return data
            data += piece


@contextlib.contextmanager
def running(server: Server) -> Iterator[threading.Thread]:
    """The server in a thread of its own."""
    thread = threading.Thread(target=server.run)
    thread.start()
    yield thread
    thread.join(10)
    assert not thread.is_alive()


def refuses(server: Server) -> bool:
    """Whether nobody listens there any more."""
    with socket.socket() as sock:
        return sock.connect_ex(server.address) != 0


# Binding.


def test_it_binds_when_it_is_made_and_tells_where(server: Server) -> None:
    assert server.is_listening
    assert server.port != 0
    assert server.address == Address("127.0.0.1", server.port)
    assert server.addresses == [server.address]
    assert server.socket is not None
    assert server.socket.getsockname() == server.address
    assert server.id == server.socket.fileno()
    assert repr(server) == f"<Server 127.0.0.1:{server.port}>"


def test_without_autostart_it_binds_when_it_is_started(app: App) -> None:
    server = Server(app, "localhost", 0, autostart=False)
    assert (server.is_listening, server.id, server.socket, server.fileno()) == (False, -1, None, -1)
    assert server.address == Address("localhost", 0)
    assert server.next_timeout() is None
    server.shutdown()
    assert server.start() is server
    port = server.port
    assert server.start().port == port != 0
    server.shutdown()


def test_a_port_in_use_is_refused(server: Server, app: App) -> None:
    with pytest.raises(PortInUseError, match=f"127.0.0.1:{server.port} is in use by pid {os.getpid()}"):
        Server(app, port=server.port)


def test_a_ready_socket_can_be_handed_in(app: App) -> None:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    with Server(app, sock=sock) as server:
        assert server.socket is sock
        assert server.address == sock.getsockname()
        with client_of(server) as client:
            assert turn(server, client).endswith(b"hello")
    assert sock.fileno() == -1


def test_a_socket_that_is_no_stream_is_refused(app: App) -> None:
    for family in (socket.AF_UNIX, socket.AF_INET):
        with (
            socket.socket(family, socket.SOCK_DGRAM) as sock,
            pytest.raises(SetupError, match="expected a TCP or Unix"),
        ):
            Server(app, sock=sock)


def test_a_socket_that_cannot_listen_is_refused(app: App) -> None:
    with socket.socket(socket.AF_UNIX) as sock, pytest.raises(BindError, match=r"cannot listen on .*Invalid argument"):
        Server(app, sock=sock)


def descriptors() -> set[str]:
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


def test_before_it_is_started_it_opens_nothing_that_a_fork_would_share(app: App) -> None:
    before = descriptors()
    Server(app, port=0, autostart=False)
    assert descriptors() == before


def test_a_closed_server_leaves_no_descriptor_open(app: App) -> None:
    before = descriptors()
    with Server(app, port=0) as server, client_of(server) as client:
        turn(server, client)
    assert descriptors() == before


# Ways to run.


def test_it_runs_in_a_thread(server: Server) -> None:
    with running(server):
        with client_of(server) as client:
            assert received(client).endswith(b"hello")
        server.shutdown()
    assert refuses(server)


def test_the_end_of_a_with_block_ends_the_thread_that_runs_it(app: App) -> None:
    with Server(app, port=0) as server:
        thread = threading.Thread(target=server.run)
        thread.start()
        with client_of(server) as client:
            received(client)
    assert refuses(server)
    thread.join(10)
    assert not thread.is_alive()


def test_it_runs_turn_by_turn(server: Server) -> None:
    with client_of(server) as client:
        assert turn(server, client).endswith(b"hello")


def test_several_servers_run_in_one_process_and_one_thread(app: App) -> None:
    other = App()
    other.add_route("/", text("other"), ["GET"])
    with Server(app, port=0) as one, Server(app, port=0) as two, Server(other, port=0) as three:
        for server, answer in ((one, b"hello"), (two, b"hello"), (three, b"other")):
            with client_of(server) as client:
                assert turn(server, client).endswith(answer)


class AsyncioDriver:
    """Drives a server from asyncio, by the three calls that are there for outside loops."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._descriptor = server.fileno()
        self._timer: asyncio.TimerHandle | None = None
        self._loop.add_reader(self._descriptor, self.step)
        self.step()

    def step(self) -> None:
        self._server.step()
        self._cancel()
        wait = self._server.next_timeout()
        if wait is not None:
            self._timer = self._loop.call_later(wait, self.step)

    def stop(self) -> None:
        self._loop.remove_reader(self._descriptor)
        self._cancel()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


def test_asyncio_drives_it_by_its_descriptor_and_its_timeouts(app: App) -> None:
    async def talk() -> tuple[bytes, bytes]:
        with Server(app, port=0, keep_alive_timeout=0.1) as server:
            driver = AsyncioDriver(server)
            reader, writer = await asyncio.open_connection(*server.address)
            writer.write(HELLO.replace(b"close", b"keep-alive"))
            answer = await reader.readuntil(b"hello")
            # Closed by the keep-alive deadline, which only next_timeout() tells of.
            rest = await reader.read()
            writer.close()
            await writer.wait_closed()
            driver.stop()
        return answer, rest

    answer, rest = asyncio.run(asyncio.wait_for(talk(), 10))
    assert answer.startswith(b"HTTP/1.1 200")
    assert rest == b""


def test_asyncio_sees_it_stop(app: App) -> None:
    async def talk() -> int:
        server = Server(app, port=0)
        driver = AsyncioDriver(server)
        # As another thread would: shutdown() then leaves the turns to asyncio.
        server.post(server.shutdown)
        while server.fileno() != -1:
            await asyncio.sleep(0)
        driver.stop()
        return server.id

    assert asyncio.run(asyncio.wait_for(talk(), 10)) == -1


def test_before_the_first_turn_an_outside_loop_is_asked_not_to_wait(server: Server) -> None:
    assert server.next_timeout() == 0
    server.step()
    # What most servers never need is loaded a little later; then nothing is due.
    assert 0 < (server.next_timeout() or 0) <= spare.SECONDS
    server.step(spare.SECONDS)
    server.step(0.0)
    assert server.next_timeout() is None


def test_what_most_servers_never_need_is_loaded_at_once_when_many_have_come_who_say_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[bool] = []
    monkeypatch.setattr(spare, "load", loaded.append)
    with contextlib.ExitStack() as clients:
        for _ in range(spare.CONNECTIONS):
            assert not loaded
            clients.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            server.step(1.0)
    assert loaded == [False]


def test_a_turn_can_be_kept_short_and_rests_made(server: Server) -> None:
    turns: list[int] = []

    def count() -> None:
        turns.append(1)
        if len(turns) == 3:
            server.shutdown()
        else:
            server.post(count)

    server.post(count)
    server.run(timeout=0.001, sleep=0.001)
    assert len(turns) == 3


def test_what_is_posted_runs_after_the_start_hooks(app: App) -> None:
    order: list[str] = []
    app.on_start(lambda: order.append("start"))
    with Server(app, port=0, autostart=False) as server:
        server.post(lambda: order.append("posted"))
        server.step()
        for _ in range(10_000):
            server.post(list)
        with pytest.raises(Overloaded):
            server.post(list)
    assert order == ["start", "posted"]


def test_a_handler_cannot_run_its_own_server(server: Server, app: App) -> None:
    errors: list[RuntimeError] = []

    @app.get("/nested")
    def nested(request: Request) -> str:
        for call in (server.step, server.run):
            try:
                call()
            except RuntimeError as error:
                errors.append(error)
        return "survived"

    with client_of(server, HELLO.replace(b"/ ", b"/nested ")) as client:
        assert turn(server, client).endswith(b"survived")
    assert [str(error) for error in errors] == [
        "this server is run already, by another thread or by the caller of this handler"
    ] * 2


def test_a_second_thread_cannot_run_it_too(server: Server) -> None:
    with running(server):
        with client_of(server) as client:
            received(client)
        with pytest.raises(RuntimeError, match="run already"):
            server.step()
        server.shutdown()


# Hooks.


def test_start_hooks_run_at_the_first_turn_and_stop_hooks_at_the_end_once(app: App) -> None:
    calls: list[str] = []
    app.on_start(lambda: calls.append("start"))
    app.on_stop(lambda: calls.append("stop"))
    with Server(app, port=0) as server:
        assert calls == []
        assert server.is_listening
        server.step()
        server.step()
        assert calls == ["start"]
        server.shutdown()
        server.shutdown()
    assert calls == ["start", "stop"]


def test_a_server_that_never_served_runs_no_hooks(app: App) -> None:
    app.on_start(lambda: pytest.fail("started"))
    app.on_stop(lambda: pytest.fail("stopped"))
    Server(app, port=0).shutdown()


def test_a_start_hook_that_fails_ends_the_server(app: App) -> None:
    app.on_stop(lambda: pytest.fail("stopped"))

    @app.on_start
    def connect() -> None:
        raise ValueError("no database")

    server = Server(app, port=0)
    with pytest.raises(SetupError, match="on_start raised ValueError: no database") as failed:
        server.run()
    assert isinstance(failed.value.__cause__, ValueError)
    assert refuses(server)
    assert server.step() == 0
    app.publish("nobody", "listens")


# Stopping.


def test_after_shutdown_nothing_happens_any_more(server: Server) -> None:
    server.step()
    server.shutdown()
    server.shutdown(kill=True)
    assert not server.is_listening
    assert server.id == -1
    assert server.fileno() == -1
    assert server.next_timeout() is None
    assert server.step(timeout=None) == 0
    server.run()
    server.post(lambda: pytest.fail("called"))
    assert refuses(server)


def test_a_handler_can_shut_its_server_down_and_still_answers(app: App) -> None:
    server = Server(app, port=0)

    @app.get("/stop")
    def stop(request: Request) -> str:
        server.shutdown()
        return "goodbye"

    with running(server), client_of(server, HELLO.replace(b"/ ", b"/stop ")) as client:
        assert received(client).endswith(b"goodbye")
    assert refuses(server)


def test_shut_down_before_its_thread_has_begun_it_never_runs(app: App) -> None:
    server = Server(app, port=0)
    thread = threading.Thread(target=server.run)
    server.shutdown()
    thread.start()
    thread.join(10)
    assert not thread.is_alive()


def test_clients_in_the_backlog_are_still_answered(server: Server) -> None:
    server.step()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(client_of(server)) for _ in range(40)]
        server.shutdown()
        assert all(received(client).endswith(b"hello") for client in clients)


def test_an_idle_connection_does_not_hold_the_server_up(server: Server) -> None:
    with client_of(server, b"") as client:
        server.step(1)
        server.shutdown()
        assert received(client) == b""
    assert server.fileno() == -1


def test_what_runs_is_finished_while_the_grace_time_lasts(waiting: Waiting) -> None:
    with Server(waiting.app, port=0) as server, client_of(server, HELLO.replace(b"close", b"keep-alive")) as client:
        while not waiting.answers:
            server.step(0.1)
        server.shutdown(timeout=0)
        assert not server.is_listening
        assert server.fileno() != -1
        waiting.answers[0].complete("in time")
        answer = turn(server, client)
        assert answer.endswith(b"in time")
        assert b"Connection: close" in answer


def test_what_is_open_when_the_grace_time_ends_is_cut(waiting: Waiting, caplog: pytest.LogCaptureFixture) -> None:
    stopped: list[str] = []
    waiting.app.on_stop(lambda: stopped.append("stopped"))
    with Server(waiting.app, port=0, grace=0.05) as server, client_of(server) as client:
        while not waiting.answers:
            server.step(0.1)
        server.shutdown()
        assert received(client) == b""
    assert "the time to stop is over; connections cut: 1" in caplog.text
    assert stopped == ["stopped"]


def test_kill_cuts_what_is_open_after_its_own_timeout(waiting: Waiting) -> None:
    with Server(waiting.app, port=0, grace=3600) as server, client_of(server) as client:
        while not waiting.answers:
            server.step(0.1)
        server.shutdown(timeout=0)
        server.post(lambda: server.shutdown(kill=True, timeout=0.01))
        server.post(lambda: server.shutdown(kill=True, timeout=3000))
        assert turn(server, client) == b""


def test_kill_without_a_timeout_cuts_at_once(waiting: Waiting) -> None:
    with Server(waiting.app, port=0) as server, client_of(server) as client:
        while not waiting.answers:
            server.step(0.1)
        server.shutdown(kill=True, timeout=0)
        assert server.fileno() == -1
        assert received(client) == b""


def test_shutdown_by_another_thread_returns_at_once(waiting: Waiting) -> None:
    server = Server(waiting.app, port=0)
    with running(server), client_of(server) as client:
        while not waiting.answers:
            client.settimeout(0.01)
            with contextlib.suppress(TimeoutError):
                client.recv(1)
        server.shutdown()
        server.post(lambda: waiting.answers[0].complete("in time"))
        client.settimeout(10)
        assert received(client).endswith(b"in time")


def test_one_connection_that_cannot_drain_or_close_does_not_keep_the_others(
    app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    drain = Connection.drain

    def fail_for_one(connection: Connection) -> None:
        if connection is broken:
            raise RuntimeError("broken connection")
        drain(connection)

    with Server(app, port=0) as server, client_of(server, b"") as one, client_of(server, b"") as two:
        while server.step(0.1):
            pass
        service = server._service
        assert service is not None
        broken = min(service._connections, key=id)
        monkeypatch.setattr(Connection, "drain", fail_for_one)
        server.shutdown()
        assert received(one) == received(two) == b""
    assert "broken connection" in caplog.text


def test_a_connection_that_cannot_be_made_is_closed(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*arguments: object, **more: object) -> None:
        raise RuntimeError("no connection")

    monkeypatch.setattr("microsock.server.service.Connection", fail)
    with client_of(server, b"") as client:
        assert turn(server, client) == b""
    assert "no connection" in caplog.text


# Signals.


def kills(*signals: signal.Signals) -> None:
    for signum in signals:
        os.kill(os.getpid(), signum)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_run(signum: signal.Signals, server: Server) -> None:
    before = signal.getsignal(signum)
    server.post(lambda: kills(signum))
    server.run()
    assert refuses(server)
    assert signal.getsignal(signum) is before


def test_a_second_sigint_leaves_a_handler_that_never_returns(app: App) -> None:
    stopped: list[str] = []
    app.on_stop(lambda: stopped.append("stopped"))

    @app.get("/stuck")
    def stuck(request: Request) -> str:
        kills(signal.SIGTERM, signal.SIGINT)
        threading.Event().wait()
        return "never"

    server = Server(app, port=0)
    with client_of(server, HELLO.replace(b"/ ", b"/stuck ")) as client:
        with pytest.raises(KeyboardInterrupt):
            server.run()
        assert received(client) == b""
    assert stopped == ["stopped"]
    assert server.fileno() == -1


def test_a_second_sigterm_stops_at_once_and_is_no_error(waiting: Waiting) -> None:
    server = Server(waiting.app, port=0)
    with client_of(server) as client:
        while not waiting.answers:
            server.step(0.1)
        server.post(lambda: kills(signal.SIGTERM))
        server.post(lambda: server.post(lambda: kills(signal.SIGTERM)))
        server.run()
        assert received(client) == b""


def test_a_crash_of_run_leaves_nothing_open(server: Server) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    server.post(interrupt)
    with client_of(server, b"") as client:
        with pytest.raises(KeyboardInterrupt):
            server.run()
        with contextlib.suppress(ConnectionResetError):
            assert received(client) == b""
    assert refuses(server)


def test_a_users_own_signal_handler_can_shut_it_down(server: Server) -> None:
    before = signal.signal(signal.SIGUSR1, lambda signum, frame: server.shutdown())
    try:
        server.post(lambda: kills(signal.SIGUSR1))
        server.run()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert refuses(server)


# Settings.


def test_the_environment_is_stronger_than_the_server_and_that_than_the_app(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICROSOCK_GRACE", "1")
    app = App(grace=3, body_timeout=3, head_timeout=3, write_timeout=3)
    server = Server(app, autostart=False, flags={"head_timeout": 0.5}, grace=2, body_timeout=2, head_timeout=2)
    settings = server.settings
    assert (settings.head_timeout, settings.grace, settings.body_timeout, settings.write_timeout) == (0.5, 1, 2, 3)


def test_set_timeout_is_for_idle_connections_and_half_heads(server: Server) -> None:
    assert server.set_timeout(0, microseconds=50_000) is server
    assert server.settings.keep_alive_timeout == server.settings.head_timeout == 0.05
    with client_of(server, b"GET / HTTP/1.1\r\n") as client:
        assert turn(server, client).startswith(b"HTTP/1.1 408 ")


def test_set_timeout_can_come_before_the_start(app: App) -> None:
    server = Server(app, autostart=False).set_timeout(2.5)
    assert server.settings.head_timeout == 2.5
    with pytest.raises(BadSetting, match="keep_alive_timeout is -1"):
        server.set_timeout(-1)


def test_access_entries_are_made_only_if_they_are_wanted(app: App, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "microsock.access")
    for wanted in (False, True):
        with Server(app, port=0, access_log=wanted) as server, client_of(server) as client:
            turn(server, client)
    assert len(caplog.records) == 1
    assert "127.0.0.1 GET / 200 5B" in caplog.text


def test_an_unknown_setting_is_refused(app: App) -> None:
    with pytest.raises(BadSetting, match="did you mean 'grace'"):
        Server(app, autostart=False, grase=3)


def test_the_handlers_answer_may_be_any_response(app: App) -> None:
    @app.get("/teapot")
    def teapot(request: Request) -> Response:
        return Response("short and stout", 418)

    with Server(app, port=0) as server, client_of(server, HELLO.replace(b"/ ", b"/teapot ")) as client:
        assert turn(server, client).startswith(b"HTTP/1.1 418 ")
