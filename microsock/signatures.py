"""Whether a function can be called the way it will be, found out when it is registered.

Knows functions, methods, partials and objects with ``__call__``; knows nothing of what they are for.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Iterable
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, TypeGuard, get_type_hints

from .errors import BadRule, SetupError

__all__ = [
    "MISSING",
    "check_call",
    "check_given",
    "check_parentheses",
    "checked_blocking",
    "handler_name",
    "has_own_yield",
    "is_generator",
    "parameter_type",
    "takes",
]

if TYPE_CHECKING:
    import inspect

AnyCallable = Callable[..., Any]

MISSING: Any = object()
"""The default of a decorator's function, which is not there where the decorator is called: ``@app.on_start()``."""

# `inspect` takes as long to load as all of this package's own app half. So a plain function is judged by its code, and
# `inspect` is loaded for the others and to say what is wrong. Its CO_GENERATOR, and what makes a function no plain one:
# CO_VARARGS, CO_VARKEYWORDS, CO_COROUTINE and CO_ASYNC_GENERATOR.
_GENERATOR = 0x20
_NOT_PLAIN = 0x04 | 0x08 | 0x80 | 0x200


def handler_name(handler: object) -> str:
    """What to call a handler in messages: its function's name, or its class's for an object."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    name = getattr(handler, "__name__", None)
    return name if isinstance(name, str) else type(handler).__name__


def check_call(handler: AnyCallable, positional: tuple[str, ...], keywords: Iterable[str], caller: str) -> None:
    """Make sure that ``handler(*positional, **keywords)`` can be called; the words are the arguments' names.

    What is called counts: a decorator that takes ``*args`` fits everything, whatever it wraps.
    Raises ``BadRule`` naming the handler, what it takes, and what ``caller`` (``rule '/users'``) gives it.
    """
    if not callable(handler):
        raise BadRule(f"{caller} needs a function, not {handler!r}")
    keywords = tuple(keywords)
    if _is_plain(handler) and _takes_just(handler, len(positional), keywords):
        return
    import inspect

    name = handler_name(handler)
    _check_synchronous(handler, name)
    try:
        signature = inspect.signature(handler, follow_wrapped=False)
    except ValueError:  # a function written in C that does not tell
        return
    try:
        signature.bind(*positional, **dict.fromkeys(keywords))
    except TypeError:
        given = ", ".join((*positional, *keywords))
        raise BadRule(f"handler {name!r} takes {_bare(signature)}, but {caller} calls it with ({given})") from None


def takes(handler: AnyCallable, positional: tuple[str, ...], keywords: Iterable[str]) -> bool:
    """Whether ``handler(*positional, **keywords)`` can be called."""
    try:
        check_call(handler, positional, keywords, "")
    except BadRule:
        return False
    return True


def check_parentheses(verb: str, argument: object) -> None:
    """Raise ``SetupError`` where a decorator's first argument is the function that it stands above: ``@app.get``."""
    if callable(argument):
        from .mistakes import bare_decorator  # for a mistake only, which ends the start

        raise bare_decorator(verb, handler_name(argument))


def check_given(function: object, decorator: str) -> None:
    """Raise ``SetupError`` where a decorator that takes none has parentheses."""
    if function is MISSING:
        from .mistakes import called_decorator  # for a mistake only, which ends the start

        raise called_decorator(decorator)


def is_generator(handler: AnyCallable) -> bool:
    """Whether a call gives a generator; seen through ``functools.wraps``, partials and ``__call__``."""
    if _is_plain(handler):
        return handler.__code__.co_flags & _GENERATOR != 0
    import inspect

    return inspect.isgeneratorfunction(_innermost(handler))


def has_own_yield(generator: Generator[Any, Any, Any]) -> bool:
    """Whether a generator's code has a ``yield`` beside its ``yield from``s; True where that cannot be seen."""
    code = getattr(generator, "gi_code", None)
    if not isinstance(code, CodeType):
        return True
    from opcode import opmap  # loaded in time, see ``server.spare``

    # Each `yield from` yields in one place, behind one opcode of its own.
    codes = code.co_code[::2]
    return codes.count(opmap["YIELD_VALUE"]) > codes.count(opmap["GET_YIELD_FROM_ITER"])


def checked_blocking(blocking: bool, handler: AnyCallable) -> bool:
    """The option ``blocking`` of a route. Raises ``SetupError`` where it cannot be had."""
    if not isinstance(blocking, bool):
        raise SetupError(f"blocking is {blocking!r}; expected True or False")
    if blocking and is_generator(handler):
        raise SetupError(
            f"handler {handler_name(handler)!r} is a generator function, which runs on the loop; leave blocking=True "
            "out and write 'value = yield from blocking(function, …)' for each slow call"
        )
    return blocking


def parameter_type(handler: AnyCallable, index: int) -> Any:
    """The annotation of a positional parameter, resolved; ``Any`` where there is none or it cannot be resolved.

    Only this one is resolved: the others may be imported for type checkers alone.
    """
    import inspect

    function = _innermost(handler)
    try:
        annotation = list(inspect.signature(handler).parameters.values())[index].annotation
    except (IndexError, ValueError):
        return Any
    if annotation is inspect.Parameter.empty:
        return Any

    def probe() -> None: ...

    probe.__annotations__ = {"parameter": annotation}
    try:
        return get_type_hints(probe, getattr(function, "__globals__", {}))["parameter"]
    except Exception:  # evaluating what somebody wrote in quotes can raise anything
        return Any


def _check_synchronous(handler: AnyCallable, name: str) -> None:
    # Not seen through functools.wraps: a decorator may well run what it wraps to its end.
    import inspect

    function = _function(handler)
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise BadRule(
            f"handler {name!r} is 'async def'; write 'def', and 'yield from sleep(…)' where it waits: "
            "microsock calls plain functions and runs no event loop"
        )


def _innermost(handler: AnyCallable) -> AnyCallable:
    function = _function(handler)
    while hasattr(function, "__wrapped__"):
        function = _function(function.__wrapped__)
    return function


def _function(handler: AnyCallable) -> AnyCallable:
    import inspect

    while isinstance(handler, functools.partial):
        handler = handler.func
    if inspect.isroutine(handler) or isinstance(handler, type) or hasattr(handler, "__wrapped__"):
        return handler
    return type(handler).__call__


def _is_plain(handler: object) -> TypeGuard[FunctionType]:
    # Nothing is hung on it either: a signature of its own, what it wraps, the mark of a coroutine.
    return type(handler) is FunctionType and not handler.__dict__ and not handler.__code__.co_flags & _NOT_PLAIN


def _takes_just(function: FunctionType, positional: int, keywords: tuple[str, ...]) -> bool:
    # So many positional parameters, then these, in any order, and no more.
    code = function.__code__
    if code.co_kwonlyargcount or code.co_posonlyargcount > positional or code.co_argcount < positional:
        return False
    return sorted(code.co_varnames[positional : code.co_argcount]) == sorted(keywords)


def _bare(signature: inspect.Signature) -> str:
    import inspect

    parameters = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()]
    return str(signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty))
