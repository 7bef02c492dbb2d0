"""The subcommands: ``stop``, ``reload``, ``status`` and ``publish`` for a server that runs, ``port`` for any port.

Each finds its server by the pid file, by the control socket or by the port, and is over in seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from .adapters import control_client
from .adapters.identity import is_server
from .adapters.pidfile import Named, read_pid_file, why_no_server
from .adapters.ports import Listening, listening_on
from .adapters.processes import Handle, command_of, handle_of
from .adapters.untrusted import printable
from .environment import port_in
from .errors import BadSetting, MicrosockError
from .json_codec import parse_json

__all__ = ["COMMANDS", "main"]

_OK, _FAILED, _BAD_COMMAND_LINE = 0, 1, 2
_FIRST = 1
# For the grace time, and what comes after it.
_STOP_SECONDS, _KILL_SECONDS, _AFTER_KILL_SECONDS = 30.0, 10.0, 2.0
_LONGEST_SECONDS = 86_400.0
_LOOK_SECONDS = 0.05
_LONGEST_LINE = 2000


def main(arguments: Sequence[str]) -> int:
    """Run the subcommand that the first argument names, one of ``COMMANDS``; gives its exit status."""
    word, *rest = arguments
    parser = _Parser(prog=f"microsock {word}", description=_ABOUT[word], allow_abbrev=False)
    _ARGUMENTS[word](parser)
    given = parser.parse_args(rest)
    try:
        return COMMANDS[word](given)
    except (BadSetting, ValueError, TypeError) as error:
        return _said(f"error: {error}", _BAD_COMMAND_LINE)
    except (MicrosockError, OSError) as error:
        return _said(f"error: {error}", _FAILED)
    except KeyboardInterrupt:
        return _FAILED


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(_BAD_COMMAND_LINE, f"error: {message} (see {self.prog} --help)\n")


def _said(text: str, status: int) -> int:
    # Parts of it come from elsewhere: paths, names, answers.
    print(printable(text, _LONGEST_LINE), file=sys.stderr if status else sys.stdout)
    return status


# Stopping and reloading.


def _stop(given: argparse.Namespace) -> int:
    path = _pid_file(given)
    pid = None if path is None else _server_of(path).pid
    # The first process of a container is never signalled, since all others end with it. It is asked.
    return _stop_over_control(given) if path is None or pid == _FIRST else _stop_by_signal(path, given)


def _stop_over_control(given: argparse.Namespace) -> int:
    with contextlib.ExitStack() as at_end:
        with control_client.connected(_control(given)) as control:
            # While it is connected, so that the number means the process that listens.
            handle = at_end.enter_context(handle_of(control.pid))
            is_ours = handle is not None and is_server(control.pid) is True
            control.stop()
        if handle is None:
            return _stopped_unseen(control, given)
        if given.kill and not is_ours:
            what = (
                f"{_name(control.pid)} listens at {control.path} and was asked to stop, but is not known for a server"
            )
            return _said(f"error: {what}; it is not killed", _FAILED)
        return _wait_for(handle, given)


def _stop_by_signal(path: str, given: argparse.Namespace) -> int:
    named = _server_of(path)
    with handle_of(named.pid) as handle:
        # Asked once more, now that the number cannot come to mean another process.
        if handle is None or _server_of(path) != named:
            return _said(f"pid {named.pid} has ended already", _OK)
        handle.send(signal.SIGTERM)
        return _wait_for(handle, given)


def _wait_for(handle: Handle, given: argparse.Namespace) -> int:
    if handle.ended(_seconds_for(given)):
        return _said(f"stopped pid {handle.pid}", _OK)
    if handle.pid == _FIRST:
        return _said(
            "error: pid 1 was asked to stop and still runs; it is never killed, but its container can be", _FAILED
        )
    if given.kill:
        handle.send(signal.SIGKILL)
        if handle.ended(_AFTER_KILL_SECONDS):
            return _said(f"stopped pid {handle.pid}", _OK)
    hint = "--kill ends it when the time is over"
    return _said(f"error: pid {handle.pid} was asked to stop and still runs; {hint}", _FAILED)


def _stopped_unseen(control: control_client.Control, given: argparse.Namespace) -> int:
    # Its process is not to be seen from here, as in another container: it has ended when nobody listens any more.
    deadline = time.monotonic() + _seconds_for(given)
    while control.listens():
        if time.monotonic() > deadline:
            what = "its process is not to be seen from here, so it cannot be killed either"
            return _said(f"error: the server at {control.path} was asked to stop and still runs; {what}", _FAILED)
        time.sleep(_LOOK_SECONDS)
    return _said(f"stopped the server at {control.path}", _OK)


def _seconds_for(given: argparse.Namespace) -> float:
    seconds: float | None = given.timeout
    return seconds if seconds is not None else _KILL_SECONDS if given.kill else _STOP_SECONDS


def _reload(given: argparse.Namespace) -> int:
    path = _pid_file(given)
    named = None if path is None else _server_of(path)
    if path is None or named is None or named.pid == _FIRST:
        return _said(control_client.reload(_control(given)), _OK)
    with handle_of(named.pid) as handle:
        if handle is None or _server_of(path) != named:
            raise control_client.NoServer(f"no server at {path}: pid {named.pid} has ended")
        handle.send(signal.SIGHUP)
    return _said(f"asked pid {named.pid} to reload", _OK)


# Asking and telling.


def _status(given: argparse.Namespace) -> int:
    # JSON in ASCII escapes what would do something on a terminal, but for one character.
    print(json.dumps(control_client.status(_control(given)), indent=2).replace("\x7f", "\\u007f"))
    return _OK


def _publish(given: argparse.Namespace) -> int:
    try:
        data = parse_json(given.data)
    except ValueError as error:
        raise ValueError(f"{given.data!r:.60} is no JSON ({error}); a text is written '\"so\"'") from None
    if not isinstance(data, (str, dict, list)):
        raise TypeError(f"{given.data!r:.60} is neither a text, nor an object, nor an array; no other message is sent")
    control_client.publish(given.topic, data, _control(given), retain=given.retain)
    return _OK


# Ports.


def _port(given: argparse.Namespace) -> int:
    if not 1 <= given.number <= 65535:
        raise BadSetting(f"port is {given.number}; expected a number from 1 to 65535")
    found = listening_on(given.number)
    for each in found:
        host = f"[{each.host}]" if ":" in each.host else each.host
        print(f"{host}:{given.number} is held by {_holders(each)}")
    return _OK if found else _said(f"nobody listens on port {given.number}", _FAILED)


def _holders(found: Listening) -> str:
    if not found.pids:
        return f"a process of user id {found.user}, which only that user and root can see"
    first, *others = found.pids
    more = f" and pid{'s' * (len(others) > 1)} {', '.join(map(str, others))}" if others else ""
    return f"pid {first} ({command_of(first)}){more}"


# Which server.


def _pid_file(given: argparse.Namespace) -> str | None:
    # A control socket or a port on the command line is stronger than a pid file in the environment.
    if given.pid_file is not None or given.control is not None or given.port is not None:
        return None if given.pid_file is None else str(given.pid_file)
    return os.environ.get("MICROSOCK_PID_FILE") or None


def _control(given: argparse.Namespace) -> Path | int:
    if given.control is not None:
        return Path(given.control)
    if (path := _pid_file(given)) is not None:
        control = os.environ.get("MICROSOCK_CONTROL")
        return Path(control) if control and given.pid_file is None else Path(f"{path}.sock")
    if given.port is None and os.environ.get("MICROSOCK_CONTROL"):
        return Path(os.environ["MICROSOCK_CONTROL"])
    return int(given.port or port_in(os.environ) or 8080)


def _server_of(path: str) -> Named:
    named = read_pid_file(path)
    if named is None:
        raise control_client.NoServer(f"no server at {path}: there is no such file, or no process id in it")
    if not named.runs:
        raise control_client.NoServer(f"no server at {path}: pid {named.pid} has ended and left the file behind")
    if stranger := why_no_server(path, named):
        raise MicrosockError(f"{path} is not believed: {stranger}; nothing was signalled")
    return named


def _name(pid: int) -> str:
    return f"pid {pid} ({command_of(pid)})"


# The command lines.


def _add_server(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("which server").add_mutually_exclusive_group()
    group.add_argument("--pid-file", metavar="PATH", help="the one that has written this file")
    group.add_argument("--control", metavar="PATH", help="the one with this control socket")
    group.add_argument("-p", "--port", type=int, metavar="N", help="the one on this port (8080)")


def _add_stop(parser: argparse.ArgumentParser) -> None:
    _add_server(parser)
    parser.add_argument("--kill", action="store_true", help="end it when the time is over")
    parser.add_argument(
        "--timeout", type=_seconds, metavar="SECONDS", help="how long to wait for its end (30; with --kill 10)"
    )


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0.0 <= seconds <= _LONGEST_SECONDS:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds from 0 to {_LONGEST_SECONDS:.0f}")
    return seconds


def _add_publish(parser: argparse.ArgumentParser) -> None:
    _add_server(parser)
    parser.add_argument("--retain", action="store_true", help="keep it for those who follow the topic later")
    parser.add_argument("topic", metavar="TOPIC", help="whose followers get it")
    parser.add_argument("data", metavar="JSON", help="an object, an array or a text")


def _add_port(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("number", type=int, metavar="N", help="of which to name the holder")


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "stop": _stop,
    "reload": _reload,
    "status": _status,
    "publish": _publish,
    "port": _port,
}
_ARGUMENTS: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "stop": _add_stop,
    "reload": _add_server,
    "status": _add_server,
    "publish": _add_publish,
    "port": _add_port,
}
_ABOUT = {
    "stop": "Ask a running server to stop, and wait until it has.",
    "reload": "Ask a running server to reload.",
    "status": "Print what a running server counts, as JSON.",
    "publish": "Send a message to all who follow a topic of a running server.",
    "port": "Name the process that listens on a port.",
}
