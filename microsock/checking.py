"""What ``--check`` finds beyond the import: whatever a start would fail for, as far as can be told beforehand.

Nothing is bound, connected to or written, and no start hook runs: the server that is to be replaced may be running.
Whether a port is free is therefore not asked.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

from .adapters.control_path import control_path
from .errors import BadSetting, BindError
from .runners.choice import runner_for
from .runners.protocol import Task
from .runners.reloading import check_workers
from .server.addresses import Place, UnixPlace, parse_addresses
from .server.binding import certificates_for
from .server.elsewhere import check_places
from .server.options import NO_OPTIONS
from .settings import Settings

__all__ = ["check_start"]

# Of the name of a Unix socket, of unix(7); the control socket is bound beside its place first, under a longer name.
_LONGEST_PATH = 107
_ASIDE = len(".4194304")


def check_start(task: Task, settings: Settings, runner: str | None, reload: bool) -> None:
    """Raise what a start would raise.

    Args:
        task: what is to be served; its app is loaded already.
        settings: of the command line, the environment and the app.
        runner: its name, if one is given.
        reload: whether ``--reload`` is given.
    """
    if reload:
        check_workers(settings)
    else:
        runner_for(task, runner)
    places = parse_addresses(task.binds, task.port)
    certificates_for(places, settings, NO_OPTIONS)
    check_places(settings)
    _check_files(settings, places)


def _check_files(settings: Settings, places: Sequence[Place]) -> None:
    for place in places:
        if isinstance(place, UnixPlace) and (reason := _why_no_file(place.path)):
            raise BindError(reason[0], f"cannot listen on unix:{place.path}: {reason[1]}")
    if settings.pid_file is not None and (reason := _why_no_file(settings.pid_file)):
        raise BadSetting(f"cannot write pid_file {settings.pid_file}: {reason[1]}")
    control = control_path(settings.control, settings.pid_file, 0)
    if control is not None and (reason := _why_no_file(control, _LONGEST_PATH - _ASIDE)):
        raise BindError(reason[0], f"cannot listen for commands at {control}: {reason[1]}")
    if settings.log_config is not None:
        from .adapters.logfiles import check_configuration

        check_configuration(settings.log_config)


def _why_no_file(name: str, most: int = 4096) -> tuple[int, str] | None:
    """The number and the words of what keeps a file from being made there; None where nothing does."""
    path = Path(name).absolute()
    if len(os.fsencode(name)) > most:
        number = errno.ENAMETOOLONG
    elif not path.parent.exists():
        number = errno.ENOENT
    elif not path.parent.is_dir():
        number = errno.ENOTDIR
    elif path.is_dir():
        number = errno.EISDIR
    elif not os.access(path.parent, os.W_OK | os.X_OK):
        number = errno.EACCES
    else:
        return None
    return number, os.strerror(number)
