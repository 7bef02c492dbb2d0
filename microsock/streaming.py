"""A streamed body: an iterable of str, bytes or events, taken a piece at a time; and the waits of a generator.

Knows the site's timers and executor as they are handed in; no session.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from itertools import chain
from types import GeneratorType
from typing import Any, NoReturn, Protocol

from .errors import Overloaded
from .eventstream import CONTENT_TYPE, HEADERS, Event
from .failures import log_failure
from .response import close_stream
from .signatures import has_own_yield
from .site import Call, Site, Timer
from .waits import Blocking, Sleep, Wait, Waitable, called

__all__ = ["Body", "BodyStream", "Cut", "Producer", "Returned"]


class Cut(Exception):
    """Raised by ``Body.pull``: the answer ends here, without its last chunk, and the handler is not to blame."""


class Returned(Exception):
    """Raised by ``Body.pull``: there are no pieces; the generator has waited at most, and ``value`` is its answer."""

    def __init__(self, value: object) -> None:
        super().__init__()
        self.value = value


class Body(Protocol):
    """Where the pieces of an answer come from.

    Attributes:
        content_type: known after the first pull.
        headers: lines that the answer has unless the handler gave its own; known after the first pull.
    """

    @property
    def content_type(self) -> str: ...
    @property
    def headers(self) -> tuple[tuple[str, str], ...]: ...
    @property
    def parked(self) -> bool:
        """Whether it waits for something other than its own work."""
        ...

    @property
    def held(self) -> int:
        """Bytes of pieces that are here and were not pulled yet."""
        ...

    def pull(self) -> bytes | None:
        """The next piece, never more than there is; ``b""`` where there is none yet, None at the end.

        Raises what the producer raises, ``Cut`` and ``Returned``.
        """
        ...

    def shown(self, piece: bytes | None) -> Iterable[Any]:
        """What ``on_response`` sees as the stream once ``piece`` was pulled."""
        ...

    def close(self) -> None:
        """Nobody takes more."""


class BodyStream:
    """Pulls pieces out of what a handler returned, as bytes.

    ``content_type`` is known after the first piece: html for str, octet-stream for bytes, an event stream for events.

    Args:
        source: what the handler returned.
        handler: its name, for messages.
    """

    __slots__ = ("_handler", "_iterator", "_resume", "_source", "_waited", "_yielded", "content_type", "headers")

    def __init__(self, source: Iterable[object], handler: str = "?") -> None:
        self._source = source
        self._handler = handler
        self._waited = self._yielded = False
        self._iterator: Iterator[Any] | None = None
        self._resume: Callable[[], Any] | None = None
        self.content_type = "application/octet-stream"
        self.headers: tuple[tuple[str, str], ...] = ()

    def pull(self) -> bytes | Sleep | Blocking | None:
        """The next piece, which may be empty; something that the producer waits for; or None at the end.

        Raises what the producer raises, ``Returned``, and ``TypeError`` for an item that is none of these.
        """
        if self._iterator is None:
            self._iterator = iter(self._source)
        resume, self._resume = self._resume, None
        try:
            item = next(self._iterator) if resume is None else resume()
        except StopIteration as ended:
            self._end(ended.value)
            return None
        finally:
            # An error that it throws has a traceback, which holds this frame: they must not make a cycle.
            del resume
        if isinstance(item, (Sleep, Blocking)):
            self._waited = True
            return item
        piece = self._encoded(item)
        self._yielded = True
        return piece

    def _end(self, value: object) -> None:
        # A generator that has yielded nothing of its own answers with what it returns, as a plain handler does.
        if not isinstance(self._iterator, Generator):
            return
        if value is not None and self._yielded:
            raise TypeError(
                f"handler {self._handler!r} has yielded pieces of a stream and then returned {value!r:.60}; "
                "yield that too, or return an answer and yield nothing"
            )
        if value is not None:
            raise Returned(value)
        if self._waited and not self._yielded and not has_own_yield(self._iterator):
            raise TypeError(
                f"handler {self._handler!r} has waited and then returned None; return its answer, a str, bytes, dict, "
                "list, iterator, tuple or Response"
            )

    def give(self, value: object, error: Exception | None) -> None:
        """Have the next pull go on with what the producer waited for, or with an error in its place."""
        iterator = self._iterator
        if not isinstance(iterator, Generator):
            complaint = "only a generator can wait for blocking(); whatever wraps it must be a generator too"
            self._resume = partial(_raise, TypeError(complaint))
        elif error is None:
            self._resume = partial(iterator.send, value)
        else:
            self._resume = partial(iterator.throw, error)

    def _encoded(self, item: object) -> bytes:
        if isinstance(item, str):
            self.content_type = "text/html; charset=utf-8"
            return item.encode()
        if isinstance(item, (bytes, bytearray, memoryview)):
            return bytes(item)
        if isinstance(item, Event):
            self.content_type, self.headers = CONTENT_TYPE, HEADERS
            return item.encode()
        raise TypeError(f"a streamed body yields str, bytes or Event, not {type(item).__name__}{_hint(item)}")

    def from_piece(self, piece: bytes | None) -> Iterator[Any]:
        """What is still to come, with the piece that was pulled last put back in front."""
        return chain((piece or b"",), self._iterator or ())

    @property
    def unfinished(self) -> Generator[Any, Any, Any] | None:
        """The generator that has begun and not ended, if it is one."""
        iterator = self._iterator
        # What is compiled by others may have no frame to be seen.
        if isinstance(iterator, Generator) and getattr(iterator, "gi_frame", iterator) is not None:
            return iterator
        return None

    def close(self) -> None:
        """Tell the producer that nobody takes more (a generator sees ``GeneratorExit``)."""
        close_stream(self._source)


def _raise(error: Exception) -> NoReturn:
    raise error


def _hint(item: object) -> str:
    if isinstance(item, Wait):
        return "; an HTTP handler can only wait by sleep() and blocking()"
    if isinstance(item, (GeneratorType, Waitable)):
        return f" ({called(item)}); write 'yield from' in front of it"
    return ""


class Producer:
    """A body that a handler returned, and what its generator waits for.

    ``wake`` is called when it can go on after a wait; ``handler`` is the handler's name.
    """

    held = 0

    __slots__ = ("_call", "_handler", "_site", "_source", "_stream", "_timer", "_wake")

    def __init__(self, source: Iterable[object], site: Site, wake: Callable[[], None], handler: str = "?") -> None:
        self._stream = BodyStream(source, handler)
        self._source = source
        self._handler = handler
        self._site = site
        self._wake = wake
        self._timer: Timer | None = None  # while it sleeps
        self._call: Call | None = None  # while another thread works for it

    @property
    def content_type(self) -> str:
        """By the last piece."""
        return self._stream.content_type

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Those of an event stream, if it is one."""
        return self._stream.headers

    @property
    def parked(self) -> bool:
        """Whether it sleeps. A call in another thread comes to its end by itself."""
        return self._timer is not None

    def pull(self) -> bytes | None:
        """See ``Body``."""
        while self._timer is None and self._call is None:
            piece = self._stream.pull()
            if isinstance(piece, Sleep):
                self._timer = self._site.call_at(self._site.now() + piece.seconds, self._rested)
            elif isinstance(piece, Blocking):
                self._submit(piece)
            else:
                if piece == b"":
                    # Nothing to send. It is pulled again in a later turn, since it may yield thousands of these.
                    self._site.call_soon(self._wake)
                return piece
        return b""

    def shown(self, piece: bytes | None) -> Iterable[Any]:
        """See ``Body``."""
        return self._stream.from_piece(piece)

    def close(self) -> None:
        """End its wait and tell it."""
        waits = (self._timer, self._call)
        self._timer = self._call = None
        for wait in waits:
            if wait is not None:
                wait.cancel()
        generator = self._stream.unfinished
        if generator is not None:
            from .cleanup import Cleanup  # loaded in time, see ``server.spare``

            Cleanup(self._site, generator, self._handler, self._closed).run(GeneratorExit())
        if generator is not self._source:
            self._stream.close()

    def _closed(self, error: BaseException | None) -> None:
        if error is not None:
            log_failure(error, "error while closing the streamed body of handler %r", self._handler)

    def _rested(self) -> None:
        self._timer = None
        self._wake()

    def _submit(self, wait: Blocking) -> None:
        try:
            self._call = self._site.executor.submit(wait.call, self._answered)
        except Overloaded as error:
            self._stream.give(None, error)

    def _answered(self, value: object, error: Exception | None) -> None:
        self._call = None
        self._stream.give(value, error)
        self._wake()
