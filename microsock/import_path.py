"""Keeps the app's folder from standing in for the libraries that microsock needs.

An app may have a ``logging.py``, an ``email`` package or a ``random.py`` of its own. Python looks in the app's folder
first, and much of what a server needs is imported only when it is needed. So the folder is put on the path as late as
can be, and what microsock may come to need and would find there is imported from elsewhere before.

This is the first module that the command imports, and it may import no more than what Python itself has already.
"""

from __future__ import annotations

import os
import sys

__all__ = ["hidden_by_libraries", "hide_current_folder", "put_first"]

# What microsock, h11, wsproto and redis import from the standard library, on every supported Python. What is not among
# it an app may call as it likes. Held by a test.
_NEEDED = frozenset(
    """
    abc argparse array ast asyncio base64 binascii bisect bz2 calendar codecs collections concurrent configparser
    contextlib contextvars copy copyreg csv dataclasses datetime difflib dis email encodings enum faulthandler fcntl
    fnmatch functools genericpath getpass gettext glob grp h11 hashlib heapq hmac html http importlib inspect io
    ipaddress json keyword linecache locale logging lzma math mmap multiprocessing ntpath opcode operator os pathlib
    pickle pkgutil platform posixpath pwd queue quopri random re reprlib resource runpy secrets select selectors shlex
    shutil signal site socket socketserver ssl stat string stringprep struct subprocess tempfile termios textwrap
    threading token tokenize traceback types typing unicodedata urllib uuid warnings weakref websockets wsproto
    zipfile zipimport zlib
    """.split()  # noqa: SIM905 - as a list it would fill the page
)
_MODULE_ENDINGS = (".py", ".pyc", ".so")

_hidden: list[str] = []


def hide_current_folder() -> None:
    """Take the current folder off the path, where ``python -m microsock`` has put it; ``put_first`` puts it back."""
    if not _is_the_command() or sys.flags.safe_path or not sys.path:
        return
    folder = sys.path[0]
    if os.path.abspath(folder) == os.getcwd():
        # PYTHONPATH may name it once more.
        sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != os.getcwd()]
        _hidden.append(folder)


def _is_the_command() -> bool:
    # While Python looks for what -m names, that stands in place of the program's name.
    arguments = getattr(sys, "argv", [""])
    before = sys.orig_argv[: len(sys.orig_argv) - len(arguments) + 1]
    named = before[-1] if before else ""
    return arguments[:1] == ["-m"] and (named == "microsock" or (named[0] == "-" and named.endswith("mmicrosock")))


def put_first(folder: str) -> None:
    """Put an app's folder at the front of the path, and the current one behind it if it was hidden.

    What microsock may come to need and has the name of a module in there is imported before.
    """
    folders = [folder, *(each for each in _hidden if os.path.abspath(each) != folder)]
    for name in sorted({name for each in folders for name in hidden_by_libraries(each)}):
        if name not in sys.modules:
            _import(name)
    sys.path[:0] = folders
    _hidden.clear()


def hidden_by_libraries(folder: str) -> list[str]:
    """The modules in a folder that nobody can import from there, since a library of the same name is needed."""
    try:
        entries = os.listdir(folder)
    except OSError:
        return []
    found = {entry.partition(".")[0] for entry in entries if _is_module(folder, entry)}
    return sorted(found & _NEEDED)


def _is_module(folder: str, entry: str) -> bool:
    return entry.endswith(_MODULE_ENDINGS) or os.path.isfile(os.path.join(folder, entry, "__init__.py"))


def _import(name: str) -> None:
    try:
        __import__(name)
    except ImportError:
        pass  # of an extra that is not installed, or another system
