"""permessage-deflate (RFC 7692): what is agreed on in the handshake, and bounded inflation.

Knows payloads, not frames. A peer's kilobytes may inflate to gigabytes, so inflation never goes past what the
message may still hold.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

from ..startup import NamedTuple

__all__ = ["Agreement", "Deflate", "TooLarge", "negotiate"]

_NAME = "permessage-deflate"
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_PARAMETER = re.compile(rf'[ \t]*;[ \t]*({_TOKEN})(?:[ \t]*=[ \t]*(?:({_TOKEN})|"({_TOKEN})"))?')
_OFFER = re.compile(rf'[ \t]*({_TOKEN})((?:[ \t]*;[ \t]*{_TOKEN}(?:[ \t]*=[ \t]*(?:{_TOKEN}|"{_TOKEN}"))?)*)[ \t]*')

# 4 kB windows: a connection costs some 40 kB instead of 300 and compresses chat-sized messages as well.
_OUR_BITS, _MEM_LEVEL = 12, 5
# zlib makes no raw deflate stream with a window of 256 bytes.
_LEAST_BITS = 9
# Shorter payloads do not get shorter.
_LEAST_SIZE = 64
# How often a message may end its stream: each end costs a decompressor and a copy of the rest.
_MOST_STREAMS = 8
# So much is inflated at a time: a kilobyte may become a megabyte, which takes milliseconds.
_PIECE_BYTES = 128 << 10
# What a call costs, in units of about a microsecond, and how many bytes of what is inflated cost one.
_CALL_COST, _INFLATED_BYTES = 10, 300
# What a sender takes off the end of a message and a receiver puts back (RFC 7692 section 7.2).
_TAIL = b"\x00\x00\xff\xff"


class TooLarge(Exception):
    """A message inflates past its bound."""


class Agreement(NamedTuple):
    """What both ends agreed on. ``server_…`` is what we send, ``client_…`` what the peer sends."""

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_bits: int = _OUR_BITS
    client_bits: int = 15
    answers_client_bits: bool = False

    def line(self) -> str:
        """The value of Sec-WebSocket-Extensions in the 101."""
        parts = [_NAME]
        parts += ["server_no_context_takeover"] if self.server_no_context_takeover else []
        parts += ["client_no_context_takeover"] if self.client_no_context_takeover else []
        parts.append(f"server_max_window_bits={self.server_bits}")
        parts += [f"client_max_window_bits={self.client_bits}"] if self.answers_client_bits else []
        return "; ".join(parts)


def negotiate(header: str) -> Agreement | None:
    """The first offer of permessage-deflate that can be met; None where there is none (RFC 7692 section 5.1).

    An offer that is malformed or asks for what we cannot do is declined, not refused: the handshake goes on.
    """
    for name, parameters in _offers(header):
        agreement = _agree(parameters) if name == _NAME else None
        if agreement is not None:
            return agreement
    return None


def _offers(header: str) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    for offer in header.split(","):
        match = _OFFER.fullmatch(offer)
        if match is not None:
            found = _PARAMETER.findall(match[2])
            yield match[1].lower(), [(name.lower(), plain or quoted or None) for name, plain, quoted in found]


def _agree(parameters: list[tuple[str, str | None]]) -> Agreement | None:
    given = dict(parameters)
    if len(given) != len(parameters):
        return None
    agreement = Agreement()
    for name, value in given.items():
        if name in ("server_no_context_takeover", "client_no_context_takeover"):
            if value is not None:
                return None
            agreement = agreement._replace(**{name: True})
        elif name == "server_max_window_bits":
            bits = _bits(value)
            if bits is None or bits < _LEAST_BITS:
                return None
            agreement = agreement._replace(server_bits=min(bits, _OUR_BITS))
        elif name == "client_max_window_bits":
            bits = 15 if value is None else _bits(value)
            if bits is None:
                return None
            agreement = agreement._replace(client_bits=min(bits, _OUR_BITS), answers_client_bits=True)
        else:
            return None
    return agreement


def _bits(value: str | None) -> int | None:
    # 8 to 15, without leading zeros (RFC 7692 section 7.1.2).
    return int(value) if value is not None and re.fullmatch("[89]|1[0-5]", value) else None


class Deflate:
    """One connection's compressor and decompressor, each made when it is first needed.

    Give it a message's payload, whole or in parts, by ``receive_data``, and after each call ``inflate`` while it is
    ``pending``.
    """

    __slots__ = ("_agreement", "_deflater", "_inflater", "_last", "_rest", "_spent", "_streams", "pending")

    def __init__(self, agreement: Agreement) -> None:
        self._agreement = agreement
        self._inflater: zlib._Decompress | None = None
        self._deflater: zlib._Compress | None = None
        self._rest = b""
        self._last = False
        self._streams = 0  # that the message has ended
        self._spent = 0
        self.pending = False
        """Whether there is more to inflate of what was received."""

    def spent(self) -> int:
        """What inflating has cost since the last call, in units of about a microsecond."""
        spent, self._spent = self._spent, 0
        return spent

    def receive_data(self, data: bytes, last: bool) -> None:
        """Take a part of a message's payload; ``last`` ends the message."""
        self._rest = data + _TAIL if last else data
        self._last = last
        self.pending = True

    def inflate(self, limit: int) -> bytes:
        """What was received, inflated: some of it while it is ``pending``.

        Raises ``TooLarge`` past ``limit`` bytes, and ``zlib.error`` for data that is not deflated.
        """
        # A decompressor with the largest window reads every smaller one.
        inflater = self._inflater = self._inflater or zlib.decompressobj(-15)
        out = inflater.decompress(self._rest, min(_PIECE_BYTES, limit + 1))
        if len(out) > limit:
            raise TooLarge
        self._spent += _CALL_COST + len(out) // _INFLATED_BYTES
        # A peer may end its stream inside a message; what follows is a new one (RFC 7692 section 7.2.3.5).
        self._rest = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
        if inflater.eof:
            self._end_stream()
        # A full piece may have been cut inside of what the last byte stands for.
        self.pending = bool(self._rest) or (len(out) == _PIECE_BYTES and not inflater.eof)
        if self._last and not self.pending:
            self._end_message()
        return out

    def _end_message(self) -> None:
        self._streams = 0
        if self._agreement.client_no_context_takeover:
            self._inflater = None

    def _end_stream(self) -> None:
        self._inflater = None
        self._streams += 1
        if self._streams > _MOST_STREAMS:
            raise zlib.error("too many streams in a message")

    def deflate(self, payload: bytes) -> bytes | None:
        """A whole message's payload, compressed; None where it is better sent as it is."""
        if len(payload) < _LEAST_SIZE:
            return None
        if self._deflater is None:
            self._deflater = zlib.compressobj(
                zlib.Z_DEFAULT_COMPRESSION, zlib.DEFLATED, -self._agreement.server_bits, _MEM_LEVEL
            )
        deflater = self._deflater
        out = deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH)
        if self._agreement.server_no_context_takeover:
            self._deflater = None
        return out.removesuffix(_TAIL)
