"""A streamed body: an iterable of str or bytes, taken a piece at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from .response import close_stream
from .waits import Sleep, Wait

__all__ = ["BodyStream"]


class BodyStream:
    """Pulls pieces out of what a handler returned, as bytes.

    ``content_type`` is known after the first piece: html for str, octet-stream for bytes.
    """

    __slots__ = ("_iterator", "_source", "content_type")

    def __init__(self, source: Iterable[object]) -> None:
        self._source = source
        self._iterator: Iterator[Any] | None = None
        self.content_type = "application/octet-stream"

    def pull(self) -> bytes | Sleep | None:
        """The next piece, a pause that the producer asks for, or None at the end. Empty pieces are passed over.

        Raises what the producer raises, and ``TypeError`` for an item that is neither str nor bytes.
        """
        if self._iterator is None:
            self._iterator = iter(self._source)
        for item in self._iterator:
            if isinstance(item, Sleep):
                return item
            piece = self._encoded(item)
            if piece:
                return piece
        return None

    def _encoded(self, item: object) -> bytes:
        if isinstance(item, str):
            self.content_type = "text/html; charset=utf-8"
            return item.encode()
        if isinstance(item, (bytes, bytearray, memoryview)):
            return bytes(item)
        hint = "; an HTTP handler can only wait by sleep()" if isinstance(item, Wait) else ""
        raise TypeError(f"a streamed body yields str or bytes, not {type(item).__name__}{hint}")

    def from_piece(self, piece: bytes | None) -> Iterator[Any]:
        """What is still to come, with the piece that was pulled last put back in front."""
        return chain((piece or b"",), self._iterator or ())

    def close(self) -> None:
        """Tell the producer that nobody takes more (a generator sees ``GeneratorExit``)."""
        close_stream(self._source)
