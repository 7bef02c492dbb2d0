"""Whether handlers can be called, told when they are registered."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import pytest

from microsock.errors import BadRule
from microsock.signatures import check_call, handler_name, is_generator, parameter_type

if TYPE_CHECKING:
    from fractions import Fraction


def plain(request: object, key: int) -> str:
    return ""


def keywords(request: object, **params: object) -> str:
    return ""


def everything(*args: object, **kwargs: object) -> str:
    return ""


def generator(ws: object) -> Iterator[int]:
    yield 1


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def with_user(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(request: object, key: int) -> Any:
        return function(request, "ann", key)

    return wrapper


@with_user
def private(request: object, user: str, key: int) -> str:
    return user


class Handlers:
    def method(self, request: object, key: int) -> str:
        return ""

    @classmethod
    def of_class(cls, request: object, key: int) -> str:
        return ""

    @staticmethod
    def static(request: object, key: int) -> str:
        return ""


class Callables:
    def __call__(self, request: object, key: int) -> str:
        return ""


class Generators:
    def __call__(self, ws: object) -> Iterator[int]:
        yield 1


@pytest.mark.parametrize(
    "handler",
    [
        plain,
        keywords,
        everything,
        private,
        wrapped(plain),
        Handlers().method,
        Handlers.of_class,
        Handlers.static,
        Callables(),
        functools.partial(plain),
        functools.partial(everything, 1),
        functools.lru_cache(plain),
        lambda request, key, more=None: "",
        lambda _, /, key: "",
        lambda request, *, key: "",
        max,  # a built-in function that does not tell its parameters
    ],
)
def test_what_can_be_called_is_accepted(handler: Callable[..., Any]) -> None:
    check_call(handler, ("request",), ("key",), "rule '/users/{key}'")


@pytest.mark.parametrize(
    ("handler", "takes"),
    [
        (lambda: "", "()"),
        (lambda request: "", "(request)"),
        (lambda request, name: "", "(request, name)"),
        (lambda request, key, more: "", "(request, key, more)"),
        (lambda request, key, /: "", "(request, key, /)"),
        (lambda key: "", "(key)"),
        (lambda *, request, key: "", "(*, request, key)"),
    ],
)
def test_what_cannot_be_called_is_refused_with_what_it_takes(handler: Callable[..., Any], takes: str) -> None:
    with pytest.raises(BadRule) as caught:
        check_call(handler, ("request",), ("key",), "rule '/users/{key}'")
    assert (
        str(caught.value) == f"handler '<lambda>' takes {takes}, but rule '/users/{{key}}' calls it with (request, key)"
    )


def test_annotations_are_left_out_of_the_message() -> None:
    with pytest.raises(BadRule, match=r"handler 'plain' takes \(request, key\), but"):
        check_call(plain, ("request",), (), "rule '/'")


def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(BadRule, match=r"^rule '/' needs a function, not 'index'$"):
        check_call("index", ("request",), (), "rule '/'")  # type: ignore[arg-type]


async def coroutine(request: object) -> str:
    return ""


async def stream(request: object) -> AsyncIterator[str]:
    yield ""


class Coroutines:
    async def __call__(self, request: object) -> str:
        return ""

    async def method(self, request: object) -> str:
        return ""


@pytest.mark.parametrize(
    "handler", [coroutine, stream, Coroutines(), Coroutines().method, functools.partial(coroutine)]
)
def test_async_def_is_refused_with_what_to_write_instead(handler: Callable[..., Any]) -> None:
    with pytest.raises(BadRule, match=r"is 'async def'; write 'def', and 'yield from sleep\(…\)' where it waits"):
        check_call(handler, ("request",), (), "rule '/'")


def test_a_decorator_that_runs_a_coroutine_to_its_end_is_accepted() -> None:
    check_call(wrapped(coroutine), ("request",), (), "rule '/'")


@pytest.mark.parametrize(
    "handler",
    [
        generator,
        wrapped(generator),
        wrapped(wrapped(generator)),
        wrapped(Generators()),
        functools.partial(generator),
        functools.partial(wrapped(generator)),
        Generators(),
        Generators().__call__,
    ],
)
def test_a_generator_function_is_seen_through_its_wrappings(handler: Callable[..., Any]) -> None:
    assert is_generator(handler)


@pytest.mark.parametrize("handler", [plain, wrapped(plain), Callables(), Handlers().method, max, lambda: ""])
def test_a_function_is_no_generator(handler: Callable[..., Any]) -> None:
    assert not is_generator(handler)


@pytest.mark.parametrize(
    ("handler", "name"),
    [
        (plain, "plain"),
        (wrapped(plain), "plain"),
        (functools.partial(functools.partial(plain, 1), 2), "plain"),
        (Handlers().method, "method"),
        (Callables(), "Callables"),
        (lambda: "", "<lambda>"),
    ],
)
def test_a_handler_is_called_by_the_name_of_its_function(handler: object, name: str) -> None:
    assert handler_name(handler) == name


def text(ws: object, message: str) -> None: ...
def quoted(ws: object, message: "dict[str, Any]") -> None: ...  # noqa: UP037
def annotated(ws: object, message: Annotated[bytes, "raw"]) -> None: ...
def besides(ws: Fraction, message: str, more: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def unresolvable(ws: object, message: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def raising(ws: object, message: str[0]()) -> None: ...  # type: ignore[valid-type]
def bare(ws, message): ...  # type: ignore[no-untyped-def]


@pytest.mark.parametrize(
    ("handler", "annotation"),
    [
        (text, str),
        (wrapped(text), str),
        (functools.partial(text), str),
        (quoted, dict[str, Any]),
        (annotated, bytes),
        (besides, str),
        (unresolvable, Any),
        (raising, Any),
        (bare, Any),
        (generator, Any),
        (max, Any),
    ],
)
def test_the_type_of_a_parameter_is_resolved_by_itself(handler: Callable[..., Any], annotation: object) -> None:
    assert parameter_type(handler, 1) == annotation


def test_the_samples_are_what_they_are_taken_for() -> None:
    with pytest.raises(ValueError):
        inspect.signature(max)
