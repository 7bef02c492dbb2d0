"""The command: ``microsock [OPTIONS] APP``, also ``python -m microsock``.

The flags of the settings are made from the settings' own table; each flag can also be given as ``MICROSOCK_<FLAG>``.
"""

from __future__ import annotations

import argparse
import os
import sys
from argparse import SUPPRESS, ArgumentTypeError, BooleanOptionalAction
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

from . import commands
from .adapters.ending import end_at_once, end_process, time_left
from .app import App
from .commands import COMMANDS
from .environment import complaints, port_in
from .errors import BadSetting, BindError, PortInUseError, SetupError
from .import_path import put_first
from .loading import app_folder, load_app, own_traceback
from .runners.choice import NOT_BOUND, runner_for
from .runners.console import open_standard_streams, summary, version
from .runners.protocol import Task
from .runners.reloading import Reloading
from .runners.sequential import STOPPED_AT_ONCE
from .server.signals import StoppedBeforeServing, interruptible, stopping_at_once
from .server.systemd import inherited
from .settings import SETTINGS, Setting, from_environment, from_text, resolve

__all__ = ["is_subcommand", "main", "serve"]

BAD_COMMAND_LINE, NO_APP = 2, 3

_GROUPS = (
    "Bind", "Processes", "Develop", "Deadlines", "Limits", "WebSocket", "TLS", "Proxy", "Logging", "Several machines",
    "Inspect",
)  # fmt: skip
_METAVARS = {
    "size": "BYTES", "seconds": "SECONDS", "count": "N", "text": "TEXT", "list": "LIST", "rate": "RATE",
    "hosts": "LIST", "networks": "LIST", "prefix": "PATH",
    "workers": "N|auto",
}  # fmt: skip


def serve() -> NoReturn:
    """Run the command, and end this process as Python would, but in the time that there is to stop."""
    status = main()
    try:
        with stopping_at_once():
            end_process(status, time_left())
    except KeyboardInterrupt as error:
        end_at_once(status, error)


def is_subcommand(words: Sequence[str]) -> bool:
    """Whether the command line is about a server that runs already."""
    return words[:1] != [] and words[0] in COMMANDS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and give its exit status.

    Args:
        arguments: without the program's name; those of the process if left out.
    """
    open_standard_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if is_subcommand(words):
        return commands.main(words)
    parser = _parser()
    parser.words = words
    given = parser.parse_args(words)
    if given.app in COMMANDS:
        parser.error(f"the subcommand {given.app} goes first; a module of that name is written {given.app}:app")
    try:
        return _obey(given, parser)
    except BindError as error:
        advice = "; stop it, or use --port 0 for a free port" if isinstance(error, PortInUseError) else ""
        return _failed(NOT_BOUND, f"{error}{advice}")
    except BadSetting as error:
        return _failed(BAD_COMMAND_LINE, str(error))
    except SetupError as error:
        return _failed(NO_APP, str(error), own_traceback(error.__cause__) if error.__cause__ else "")
    except KeyboardInterrupt as error:
        return getattr(error, "status", STOPPED_AT_ONCE)


def _obey(given: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    for complaint in complaints(os.environ):
        print(f"warning: {complaint}", file=sys.stderr)
    environment = from_environment(os.environ)
    flags = {name: value for name, value in vars(given).items() if name in SETTINGS}
    binds, port = _address(given, parser)
    load = partial(_load, given)
    task = Task(load, given.app, binds, port, flags, explain=own_traceback)
    if given.routes or given.check:
        return _inspect(given, task, environment)
    if given.reload:
        return _reloading(given).run(task)
    if ":" in (given.runner or "") or "log_config" in {**environment, **flags}:
        # Both may name what is in there.
        put_first(str(app_folder(given.app, given.app_dir).resolve()))
    return runner_for(task, given.runner).run(task)


def _load(given: argparse.Namespace) -> App:
    with interruptible():
        return load_app(given.app, given.app_dir, given.factory)


def _inspect(given: argparse.Namespace, task: Task, environment: Mapping[str, object]) -> int:
    try:
        app = task.load()
    except StoppedBeforeServing:
        return STOPPED_AT_ONCE
    settings = resolve(task.flags, environment, app.settings_given)
    if given.check:
        from .checking import check_start

        if given.reload:
            _reloading(given)
        check_start(task, settings, given.runner, given.reload)
    print(_routes(app) if given.routes else f"{given.app} is fine: {summary(app)}")
    return 0


def _reloading(given: argparse.Namespace) -> Reloading:
    if given.runner not in (None, "sequential"):
        raise BadSetting(f"runner is {given.runner!r}; with --reload it is sequential")
    of_environment = os.environ.get("MICROSOCK_RELOAD_DIR", "").split(os.pathsep)
    folders = given.reload_dir or [Path(folder) for folder in of_environment if folder]
    return Reloading(folders or [app_folder(given.app, given.app_dir)])


def _address(given: argparse.Namespace, parser: argparse.ArgumentParser) -> tuple[list[str], int | None]:
    # Flags before environment; in each, the whole address or its two parts.
    apart = given.host is not None or given.port is not None
    if given.bind is not None and apart:
        parser.error("give --bind, or --host and --port, not both")
    binds = given.bind or ([] if apart else _listed(os.environ.get("MICROSOCK_BIND", "")) or inherited())
    if binds:
        return binds, None
    host = given.host or os.environ.get("MICROSOCK_HOST", "127.0.0.1")
    return [host], _port_of_environment() if given.port is None else given.port


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _port_of_environment() -> int | None:
    text = port_in(os.environ)
    if text is not None and not (text.isascii() and text.isdecimal()):
        raise BadSetting(f"MICROSOCK_PORT is {text!r}; expected a number from 0 (any free port) to 65535")
    return None if text is None else int(text)


def _routes(app: App) -> str:
    rows = [("|".join(route.methods), route.rule.text, route.name) for route in app.router.routes]
    rows += [("WS", route.rule.text, route.name) for route in app.router.websockets]
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    return "\n".join(f"{methods:{widths[0]}}  {rule:{widths[1]}}  {name}" for methods, rule, name in rows)


def _failed(status: int, message: str, details: str = "") -> int:
    print(f"error: {message}", details, sep="\n" if details else "", file=sys.stderr)
    return status


# The command line.


class _Parser(argparse.ArgumentParser):
    words: Sequence[str] = ()
    """What was written, in which an unknown flag is looked for."""

    def error(self, message: str) -> NoReturn:
        # An unknown flag's value is taken for the app, or the app for one word too many.
        if message.startswith(("unrecognized arguments", "the following arguments are required")):
            from .flag_hints import hint_for

            hint = hint_for(self.words, self._option_string_actions)
            message += f"; {hint}" if hint else ""
        elif message.startswith("argument -p/--port: invalid int"):
            message += "; a file for the process id is given by --pid-file"
        self.exit(BAD_COMMAND_LINE, f"error: {message} (see {self.prog} --help)\n")


def _parser() -> _Parser:
    parser = _Parser(
        prog="microsock",
        usage="microsock [OPTIONS] APP",
        description="Serve an app over HTTP and WebSockets.",
        epilog="Sizes take k, m and g; durations take ms, s, m and h. Every flag is also read from MICROSOCK_<FLAG>. "
        f"In place of OPTIONS and APP: {', '.join(COMMANDS)}; see microsock stop --help.",
        add_help=False,
        allow_abbrev=False,
    )
    parser.add_argument(
        "app", metavar="APP", help="module:attr, module or path/to/file.py[:attr]; attr is app by default"
    )
    groups = {name: parser.add_argument_group(name) for name in _GROUPS}
    _add_bind(groups["Bind"])
    _add_processes(groups["Processes"])
    _add_develop(groups["Develop"])
    for name, setting in SETTINGS.items():
        _add_setting(groups[setting.group], name, setting)
    _add_inspect(groups["Inspect"])
    return parser


def _add_bind(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--host", help="address or name to listen on (127.0.0.1)")
    group.add_argument("-p", "--port", type=int, metavar="N", help="port to listen on, 0 for a free one (8080)")
    group.add_argument(
        "-b", "--bind", metavar="ADDR", action="append",
        help="an address to listen on, again for each: host:port, [::1]:port, tls://host:port, unix:/path, fd://N",
    )  # fmt: skip


def _add_processes(group: argparse._ArgumentGroup) -> None:
    runner = os.environ.get("MICROSOCK_RUNNER")
    text = "what serves; by default sequential for one worker, preforked for more"
    group.add_argument("--runner", default=runner, metavar="sequential|preforked|module:Class", help=text)


def _add_develop(group: argparse._ArgumentGroup) -> None:
    folder = os.environ.get("MICROSOCK_APP_DIR", ".")
    group.add_argument("--app-dir", type=_folder, default=folder, metavar="DIR", help="where to look for the app (.)")
    factory = os.environ.get("MICROSOCK_FACTORY", "").lower() in ("1", "true", "yes", "on")
    reload = os.environ.get("MICROSOCK_RELOAD", "").lower() in ("1", "true", "yes", "on")
    text = "serve anew whenever a source file changes"
    group.add_argument("--reload", action=BooleanOptionalAction, default=reload, help=text)
    text = "where source files are watched, again for each (the app's directory)"
    group.add_argument("--reload-dir", type=_folder, action="append", metavar="DIR", help=text)
    group.add_argument("--factory", action="store_true", default=factory, help="APP is a function that makes the app")


def _add_setting(group: argparse._ArgumentGroup, name: str, setting: Setting) -> None:
    if setting.kind == "function":
        return
    flag = f"--{name.replace('_', '-')}"
    if setting.kind == "switch":
        group.add_argument(flag, action=BooleanOptionalAction, default=SUPPRESS, help=setting.help)
        return
    metavar = "|".join(setting.choices) or _METAVARS[setting.kind]
    short = ("-w",) if name == "workers" else ()
    default = f" ({_shown(setting)})" if setting.default else ""
    text = setting.help + default
    group.add_argument(*short, flag, type=_converter(name), default=SUPPRESS, metavar=metavar, help=text)


def _add_inspect(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--routes", action="store_true", help="list the app's routes and exit")
    group.add_argument("--check", action="store_true", help="import the app, check what a start needs, and exit")
    group.add_argument(
        "--version", action="version", version=f"microsock {version()}", help="show the version and exit"
    )
    group.add_argument("-h", "--help", action="help", help="show this help and exit")


def _converter(name: str) -> Callable[[str], object]:
    def convert(text: str) -> object:
        try:
            return from_text(name, text)
        except BadSetting as error:
            raise ArgumentTypeError(str(error)) from None

    return convert


def _folder(text: str) -> Path:
    path = Path(text)
    if not path.is_dir():
        raise ArgumentTypeError(f"{text!r} is no directory")
    return path


def _shown(setting: Setting) -> str:
    if setting.kind != "size":
        return f"{setting.default:g}" if isinstance(setting.default, float) else str(setting.default)
    for unit, size in (("m", 1 << 20), ("k", 1 << 10)):
        if setting.default % size == 0:
            return f"{setting.default // size}{unit}"
    return str(setting.default)
