"""The functions around handlers: error handlers, on_response, on_start and on_stop.

Whatever goes wrong in here still ends in an answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeGuard

from .errors import HTTPError, SetupError, is_error_status, reason_phrase
from .failures import log_failure, reraise_if_fatal
from .log import printable
from .request import Request
from .response import Response, close_stream, to_response
from .signatures import check_call, handler_name

__all__ = ["Hooks"]

AnyCallable = Callable[..., Any]


class Hooks:
    """An app's hooks, and how an error becomes an answer.

    Attributes:
        response: functions that see every response, in order.
        start: functions to call before serving, in order.
        stop: functions to call after it.
    """

    __slots__ = ("_by_class", "_by_status", "_for_all", "response", "start", "stop")

    def __init__(self) -> None:
        self.response: list[AnyCallable] = []
        self.start: list[AnyCallable] = []
        self.stop: list[AnyCallable] = []
        self._by_status: dict[int, AnyCallable] = {}
        self._by_class: dict[type[BaseException], AnyCallable] = {}
        self._for_all: dict[None, AnyCallable] = {}

    def add_error(self, key: int | type[Exception] | None, handler: AnyCallable) -> None:
        """Have errors of a status, of an exception class, or (None) all others answered by ``handler``."""
        check_call(handler, ("request", "error"), (), "@app.error")
        table: dict[Any, AnyCallable] = self._table(key)
        if key in table:
            what = "all errors" if key is None else key.__name__ if isinstance(key, type) else key
            raise SetupError(
                f"two error handlers for {what}: {handler_name(table[key])!r} and {handler_name(handler)!r}"
            )
        table[key] = handler

    def failed(self, request: Request, error: BaseException) -> Response:
        """The answer to an error, by the error handler for it or plain. Logs what is the server's fault.

        Raises what is not to end in an answer: see ``failures.reraise_if_fatal``.
        """
        reraise_if_fatal(error)
        shown = _shown(error)
        try:
            response = self._handled(request, error, shown)
        except BaseException as another:
            reraise_if_fatal(another)
            if _is_answer(another):
                response = _plain(another)
            else:
                log_failure(another, "the error handler for %s raised", _line(request))
                response = _plain(shown)
        if error is not shown and response.status >= 500:
            log_failure(error, "%s failed", _line(request))
        return response

    def finish(self, request: Request, response: Response) -> Response:
        """Let every ``on_response`` function see a response; what one returns takes its place."""
        for hook in self.response:
            try:
                value = hook(request, response)
                if value is not None:
                    response = _replaced(response, value, handler_name(hook))
            except BaseException as error:
                reraise_if_fatal(error)
                _close_quietly(response, hook)
                if _is_answer(error):
                    return _plain(error)
                log_failure(error, "on_response %r raised for %s", handler_name(hook), _line(request))
                return _plain(HTTPError(500))
        return response

    def stop_all(self) -> None:
        """Call the ``on_stop`` functions, each of them; exceptions are logged."""
        for function in self.stop:
            try:
                function()
            except BaseException as error:
                reraise_if_fatal(error)
                log_failure(error, "on_stop %r raised", handler_name(function))

    def _table(self, key: object) -> dict[Any, AnyCallable]:
        if key is None:
            return self._for_all
        if isinstance(key, type) and issubclass(key, Exception):
            return self._by_class
        if isinstance(key, int) and not isinstance(key, bool) and 400 <= key <= 599:
            return self._by_status
        raise SetupError(f"@app.error takes a status from 400 to 599, an Exception class or nothing, not {key!r}")

    def _handled(self, request: Request, error: BaseException, shown: HTTPError) -> Response:
        handler, given = self._find(error, shown)
        if handler is None:
            return _default(shown)
        value = handler(request, given)
        response = to_response(value, handler_name(handler))
        if not isinstance(value, (tuple, Response)):
            response.status = shown.status
        missing = [line for line in shown.headers if line[0] not in response.headers]
        for name, text in missing:
            response.headers.add(name, text)
        return response

    def _find(self, error: BaseException, shown: HTTPError) -> tuple[AnyCallable | None, BaseException]:
        # An HTTPError is told by its status first. Any other exception is told by its class first; the handler for
        # 500 and the one for all get an HTTPError, whose cause it is.
        classes = type(error).__mro__
        by_class = next((self._by_class[known] for known in classes if known in self._by_class), None)
        by_status = self._by_status.get(shown.status)
        if by_class is not None and (by_status is None or error is not shown):
            return by_class, error
        return by_status or self._for_all.get(None), shown


def _is_answer(error: BaseException) -> TypeGuard[HTTPError]:
    # By its type: an exception's own __class__ may raise. One whose class does not call our __init__ has no status.
    return issubclass(type(error), HTTPError) and is_error_status(getattr(error, "status", None))


def _shown(error: BaseException) -> HTTPError:
    if _is_answer(error):
        return error
    shown = HTTPError(500)
    shown.__cause__ = error
    return shown


def _close_quietly(response: Response, hook: AnyCallable) -> None:
    try:
        close_stream(response.stream)
    except BaseException as error:
        reraise_if_fatal(error)
        log_failure(error, "error while closing the streamed body behind on_response %r", handler_name(hook))


def _default(error: HTTPError) -> Response:
    return Response(f"{error.status} {error.message}\n", error.status, error.headers, "text/plain; charset=utf-8")


def _plain(error: HTTPError) -> Response:
    # Of what the app gave only the status is used: all else may be what went wrong.
    text = f"{error.status} {reason_phrase(error.status)}\n"
    return Response(text, error.status, None, "text/plain; charset=utf-8")


def _replaced(response: Response, value: Any, hook: str) -> Response:
    # A Response or a tuple takes the whole place; a body only the body's, so that status and cookies stay.
    replacement = to_response(value, hook)
    if isinstance(value, (tuple, Response)):
        return replacement
    if replacement.stream is None:  # one may be made of the stream that was there
        close_stream(response.stream)
    content_type = replacement.headers.get("Content-Type")
    replacement.status, replacement.headers = response.status, response.headers
    if content_type is not None:
        replacement.headers["Content-Type"] = content_type
    return replacement


def _line(request: Request) -> str:
    return printable(f"{request.method} {request.raw_path}")
