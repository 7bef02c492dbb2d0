"""From what people write on the command line to an ``App``, or to a message that says what is wrong with it.

``module:attr``, ``module``, ``path/to/file.py`` or ``path/to/file.py:attr``.
"""

from __future__ import annotations

import difflib
import importlib
import threading
import traceback
from pathlib import Path
from types import FunctionType, ModuleType, TracebackType
from typing import NoReturn

from .app import App
from .errors import AppNotFound, SetupError
from .failures import error_text, reraise_if_fatal
from .import_path import hidden_by_libraries, put_first
from .importing import importing_app, serves_app

__all__ = ["app_folder", "load_app", "own_traceback"]

_USUAL_NAMES = ("app", "application")


def load_app(target: str, app_dir: Path, factory: bool = False) -> App:
    """Import an app.

    Args:
        target: where it is; without ``:attr`` it is called ``app`` or ``application``.
        app_dir: where modules and relative paths are looked for; it goes to the front of ``sys.path``.
        factory: the attribute is a function that makes the app.

    Raises ``AppNotFound``; if the app's own code raised, that is its cause.
    """
    try:
        with importing_app(threading.get_ident()):
            app = _load(target, app_dir, factory)
    except AppNotFound:
        raise
    except SetupError as error:  # what the app has caught itself, or asked in another thread
        _raise_failed(f"while importing {target}", error)
    serves_app(app)
    return app


def _load(target: str, app_dir: Path, factory: bool) -> App:
    place, attribute = _split(target)
    if place.endswith(".py"):
        module = _import_file(app_dir / place, place)
    else:
        put_first(str(app_dir.resolve()))
        module = _import_module(place, app_dir)
    found = _lookup(module, place, attribute, app_dir)
    return _made(found, target, place) if factory else _checked(found, target)


def _split(target: str) -> tuple[str, str]:
    place, colon, attribute = target.rpartition(":")
    if not colon:
        return target, ""
    if not place or not attribute:
        raise AppNotFound(f'"{target}" is not understood; expected module:attr, module or path/to/file.py:attr')
    return place, attribute


def app_folder(target: str, app_dir: Path) -> Path:
    """The directory that an app's modules are in: ``app_dir``, or that of its file or package."""
    place = target.rpartition(":")[0] or target
    return _root_of(app_dir / place) if place.endswith(".py") else app_dir


# Importing.


def _import_file(path: Path, place: str) -> ModuleType:
    if not path.is_file():
        near = _nearest(path.name, [entry.name for entry in path.parent.glob("*.py")])
        raise AppNotFound(f'cannot import "{place}" (no such file{near})')
    path = path.resolve()
    root = _root_of(path)
    put_first(str(root))
    name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
    module = _import_module(name, root)
    imported = module.__file__ if hasattr(module, "__file__") else None
    if imported is None or not path.samefile(imported):
        raise AppNotFound(f'"{place}" is hidden by another module named "{name}" ({imported or "built-in"}); rename it')
    return module


def _root_of(path: Path) -> Path:
    root = path.resolve().parent
    while (root / "__init__.py").is_file():
        root = root.parent
    return root


def _import_module(name: str, folder: Path) -> ModuleType:
    try:
        return importlib.import_module(name)
    except BaseException as error:
        reraise_if_fatal(error)
        own = _own_frames(error)
        if own is None and isinstance(error, (ModuleNotFoundError, TypeError, ValueError)):
            _no_module(name, folder)
        _raise_failed(
            f"while importing {_file_of(own, error) or name}", error, _hint_at_name(_missed_in(error), folder)
        )


def _missed_in(error: BaseException) -> str:
    # The module that has not what the app expected of it.
    if isinstance(error, ImportError):
        return error.name or ""
    module = getattr(error, "obj", None) if isinstance(error, AttributeError) else None
    return module.__name__ if isinstance(module, ModuleType) else ""


def _hint_at_name(module: str, folder: Path) -> str:
    top = module.partition(".")[0]
    if top not in hidden_by_libraries(str(folder)):
        return ""
    return f'; "{top}" is a library that microsock needs, so the one in {folder.resolve()} is not imported: rename it'


def _no_module(name: str, folder: Path) -> NoReturn:
    top = name.partition(".")[0]
    modules = [entry.stem for entry in folder.glob("*.py")] + [
        init.parent.name for init in folder.glob("*/__init__.py")
    ]
    reason = f"no {name.replace('.', '/')}.py or package in {folder.resolve()}{_nearest(top, modules)}"
    raise AppNotFound(f'cannot import module "{name}" ({reason})') from None


def own_traceback(error: BaseException) -> str:
    """An error's traceback from the app's own first frame on: how it was imported or called is no news."""
    return "".join(traceback.format_exception(type(error), error, _own_frames(error))).rstrip()


def _own_frames(error: BaseException) -> TracebackType | None:
    frames = error.__traceback__
    while frames is not None:
        module: str = frames.tb_frame.f_globals.get("__name__", "")
        if module.partition(".")[0] not in ("importlib", __name__.partition(".")[0]):
            return frames
        frames = frames.tb_next
    return None


def _file_of(own: TracebackType | None, error: BaseException) -> str | None:
    if own is not None:
        return Path(own.tb_frame.f_code.co_filename).name
    return Path(error.filename).name if isinstance(error, SyntaxError) and error.filename else None


def _raise_failed(doing: str, error: BaseException, hint: str = "") -> NoReturn:
    raise AppNotFound(f"{doing}: {error_text(error)}{hint}") from error


# Looking up.


def _lookup(module: ModuleType, place: str, attribute: str, folder: Path) -> object:
    if not attribute:
        attribute = next((name for name in _USUAL_NAMES if hasattr(module, name)), _USUAL_NAMES[0])
    found: object = module
    for name in attribute.split("."):
        if not hasattr(found, name):
            hint = _hint_at_name(place, folder) or _apps_in(module)
            raise AppNotFound(f'module "{place}" has no attribute "{attribute}"{hint}')
        found = getattr(found, name)
    return found


def _apps_in(module: ModuleType) -> str:
    names = [name for name, value in vars(module).items() if isinstance(value, App)]
    return f"; App objects found there: {', '.join(names)}" if names else "; there is no App object in it"


def _checked(found: object, target: str) -> App:
    if isinstance(found, App):
        return found
    if isinstance(found, FunctionType):
        raise AppNotFound(f'"{target}" is a function; did you mean --factory?')
    raise AppNotFound(f'"{target}" is {_described(found)}; expected an App')


def _made(factory: object, target: str, place: str) -> App:
    if not callable(factory):
        raise AppNotFound(f'"{target}" is {_described(factory)}; with --factory a function is expected')
    try:
        made = factory()
    except BaseException as error:
        reraise_if_fatal(error)
        _raise_failed(f'while calling "{target}"', error)
    if not isinstance(made, App):
        raise AppNotFound(f'"{target}" returned {_described(made)}; expected an App')
    return made


def _described(value: object) -> str:
    return "None" if value is None else f"an object of type {type(value).__name__}"


def _nearest(name: str, names: list[str]) -> str:
    near = difflib.get_close_matches(name, names, 1)
    return f'; did you mean "{near[0]}"?' if near else ""
