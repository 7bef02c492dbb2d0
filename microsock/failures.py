"""What handlers, hooks and jobs raise: what of it goes on, and how the rest is logged.

Such code may raise anything, also what is no ``Exception`` (``sys.exit()``, ``asyncio.CancelledError``). That ends one
call and never the server. Knows threads only to tell the main one, the one that Ctrl+C interrupts.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import cast

from . import forked
from .log import logger

__all__ = [
    "complain_to_test",
    "error_text",
    "log_failure",
    "raised_elsewhere",
    "reraise_if_fatal",
    "under_test",
]

# How tests end: pytest's Failed, Skipped and Exit; hypothesis' StopTest and the like. They are told by the module of a
# class, since neither is imported here.
_TEST_OUTCOMES = ("_pytest.outcomes", "hypothesis.errors")
# Threads in which a test client runs the app, and where it collects what it is to complain of.
_testing: dict[int, list[Warning]] = {}
# Attributes that formatting a traceback reads. A class that defines one itself may make it raise.
_READ_BY_TRACEBACKS = frozenset((
    "__cause__", "__class__", "__context__", "__getattr__", "__getattribute__", "__notes__", "__suppress_context__",
    "__traceback__", "exceptions", "name",
))  # fmt: skip
_MOST_LINKS = 1000


def reraise_if_fatal(error: BaseException) -> None:
    """Raise ``error`` again if it is not to end in an answer; to be called first where it is caught.

    In a child that the app has forked, that child ends here.

    That is a ``KeyboardInterrupt`` on the main thread, and within a test client (or on the main thread, where a test
    may turn a server itself) what ends a test. One inside of an exception group counts too.
    """
    forked.came_back(error)
    for each in _leaves(error):
        if _is_fatal(each):
            raise each


@contextmanager
def under_test(complaints: list[Warning]) -> Iterator[None]:
    """In a ``with`` block this thread runs an app for a test client, which has ``complaints`` filled.

    What ends a test goes through.
    """
    thread = threading.get_ident()
    before = _testing.get(thread)
    _testing[thread] = complaints
    try:
        yield
    finally:
        if before is None:
            del _testing[thread]
        else:
            _testing[thread] = before


def complain_to_test(warning: Warning) -> bool:
    """Tell the test client that runs the app in this thread; False where there is none."""
    complaints = _testing.get(threading.get_ident())
    if complaints is not None:
        complaints.append(warning)
    return complaints is not None


def error_text(error: BaseException) -> str:
    """``ValueError: what it says``, also of an exception that cannot be made a str."""
    name = type(error).__name__
    try:
        return f"{name}: {error}"
    except BaseException as another:
        reraise_if_fatal(another)
        return name


def raised_elsewhere(error: BaseException) -> Exception:
    """What a call in another thread raised, for the loop: what is no ``Exception`` becomes the cause of one.

    A ``KeyboardInterrupt`` or ``GeneratorExit`` from there means nothing to who waits for the call.
    """
    if issubclass(type(error), Exception):
        return cast(Exception, error)
    wrapped = RuntimeError(f"a blocking call raised {error_text(error)}")
    wrapped.__cause__ = error
    return wrapped


def log_failure(error: BaseException, message: str, *args: object) -> None:
    """Log a message with the traceback of an error, whatever that error's class does."""
    if not _shows(error):
        error = _stand_in(error)
    logger.error(message, *args, exc_info=error, stacklevel=2)


# Exceptions are looked at without their own attributes: a class may say of itself what it likes, and raise.


def _leaves(error: BaseException) -> Iterator[BaseException]:
    found = [error]
    while found:
        each = found.pop()
        if issubclass(type(each), BaseExceptionGroup):
            found += BaseExceptionGroup.exceptions.__get__(each)
        else:
            yield each


def _is_fatal(error: BaseException) -> bool:
    if issubclass(type(error), KeyboardInterrupt):
        return _on_main_thread()
    if any(cls.__dict__.get("__module__") in _TEST_OUTCOMES for cls in type(error).__mro__):
        return threading.get_ident() in _testing or _on_main_thread()
    return False


def _on_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _shows(error: BaseException) -> bool:
    # Most are of plain classes; only for others it is tried.
    if all(map(_is_plain, _chain(error))):
        return True
    try:
        traceback.format_exception(type(error), error, _frames_of(error))
    except BaseException as another:
        reraise_if_fatal(another)
        return False
    return True


def _chain(error: BaseException) -> Iterator[BaseException]:
    found, seen = [error], {0}
    while found and len(seen) < _MOST_LINKS:
        each = found.pop()
        if id(each) not in seen:
            seen.add(id(each))
            yield each
            links = (_get(each, "__cause__"), _get(each, "__context__"))
            found += [link for link in links if link is not None]
            if issubclass(type(each), BaseExceptionGroup):
                found += _leaves(each)


def _is_plain(error: BaseException) -> bool:
    # Only classes written in Python have a __module__ of their own.
    return not any(
        "__module__" in cls.__dict__ and _READ_BY_TRACEBACKS & cls.__dict__.keys() for cls in type(error).__mro__
    )


def _get(error: BaseException, name: str) -> BaseException | None:
    link: BaseException | None = BaseException.__dict__[name].__get__(error)
    return link


def _frames_of(error: BaseException) -> TracebackType | None:
    frames: TracebackType | None = BaseException.__dict__["__traceback__"].__get__(error)
    return frames


def _stand_in(error: BaseException) -> BaseException:
    told = RuntimeError(f"{error_text(error)} (an exception whose traceback cannot be shown)")
    return told.with_traceback(_frames_of(error))
