"""A table of small records in memory that processes share, safe when one of them is killed in the middle of anything.

It is made before the workers are forked. Records lie in groups by the hash of their key; a group is changed under a
lock that the kernel frees when its holder dies. Each record has two halves, and a change goes into the older one: what
a killed process has left half-written is passed over, and the record is as it was before.
"""

from __future__ import annotations

import os
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator
from fcntl import LOCK_EX, LOCK_UN, lockf
from hashlib import blake2b
from mmap import mmap
from typing import NamedTuple
from zlib import crc32

__all__ = ["SharedTable"]

_KEY_SIZE = 16
# A half: a checksum of all that follows; the hash of the key; which half is the younger; then the payload.
_HEAD = struct.Struct(f"<I{_KEY_SIZE}sQ")
_BODY = struct.Struct(f"<{_KEY_SIZE}sQ")
_CHECK = struct.Struct("<I")
_SUM, _KEY, _AGE = range(3)
_FREE = bytes(_KEY_SIZE)
_NOTHING = (0, _FREE, 0)
_OLDEST = 1 << 63


class _Record(NamedTuple):
    """What a way holds: the younger of its halves that are whole. ``next`` is where a change is to be written."""

    key: bytes
    payload: bytes
    age: int
    next: int


class SharedTable:
    """Records of a fixed size by keys of any length.

    Args:
        payload_size: bytes of a record.
        groups: how many groups there are, each with its own lock.
        ways: how many records have room in a group; memory is taken as it is first touched.
        worth: tells of a record how much it would be missed; the least goes where a group is full.
    """

    def __init__(self, payload_size: int, groups: int, ways: int, worth: Callable[[bytes], float]) -> None:
        self.evicted = 0
        """Records that this process has dropped since their group was full."""
        self._groups = groups
        self._half_size = _HEAD.size + payload_size
        self._way_size = 2 * self._half_size
        self._group_size = ways * self._way_size
        self._worth = worth
        self._memory = mmap(-1, groups * self._group_size)
        # Its own file, opened once: closing any other descriptor of it would drop the locks of the process.
        with tempfile.TemporaryFile() as file:
            self._locks = os.dup(file.fileno())
        # What is locked for the process is not for its threads.
        self._threads = threading.Lock()
        # Nobody outside can choose keys that fall into one group.
        self._salt = os.urandom(16)

    def close(self) -> None:
        """Give the memory back, as the table's end does; the other processes keep theirs."""
        self._memory.close()
        if self._locks >= 0:
            os.close(self._locks)
            self._locks = -1

    def __del__(self) -> None:
        if hasattr(self, "_locks"):
            self.close()

    def change(self, key: bytes, change: Callable[[bytes | None], bytes | None]) -> bytes | None:
        """Replace a record by what ``change`` makes of it. None stands for no record, on both sides.

        Nobody else sees or changes the record meanwhile. What ``change`` raises passes through; nothing is changed.
        Gives another record, where one has been dropped since the group was full.
        """
        digest, group = self._place(key)
        start = group * self._group_size
        with self._threads:
            lockf(self._locks, LOCK_EX, 1, group)
            try:
                memory = self._memory[start : start + self._group_size]
                record = self._find(memory, digest)
                payload = change(None if record is None else record.payload)
                if payload is not None:
                    place = record or self._spare(memory)
                    self._write(start, digest, payload, place)
                    return None if place.key in (digest, _FREE) else place.payload
                if record is not None:
                    self._write(start, _FREE, bytes(len(record.payload)), record)
                return None
            finally:
                lockf(self._locks, LOCK_UN, 1, group)

    def read(self, key: bytes) -> bytes | None:
        """A record, or None."""
        digest, group = self._place(key)
        record = self._find(self._copy(group), digest)
        return None if record is None else record.payload

    def payloads(self) -> Iterator[bytes]:
        """All records, a group at a time."""
        empty, untouched = bytes(self._group_size), bytes(self._way_size)
        for group in range(self._groups):
            memory = self._copy(group)
            ways = range(0, self._group_size, self._way_size) if memory != empty else ()
            for way in ways:
                # Most have never been used.
                if memory[way : way + self._way_size] != untouched:
                    record = self._record(memory, way)
                    if record.key != _FREE:
                        yield record.payload

    def _copy(self, group: int) -> bytes:
        start = group * self._group_size
        with self._threads:
            lockf(self._locks, LOCK_EX, 1, group)
            try:
                return self._memory[start : start + self._group_size]
            finally:
                lockf(self._locks, LOCK_UN, 1, group)

    def _place(self, key: bytes) -> tuple[bytes, int]:
        digest = blake2b(key, digest_size=_KEY_SIZE, key=self._salt).digest()
        return digest, int.from_bytes(digest[:4], "little") % self._groups

    # Within a group: ``memory`` is a copy of it.

    def _find(self, memory: bytes, digest: bytes) -> _Record | None:
        at = memory.find(digest)
        while at >= 0:
            record = self._record(memory, at - at % self._way_size)
            # A record that has gone may still stand in the older half.
            if record.key == digest:
                return record
            at = memory.find(digest, at + 1)
        return None

    def _record(self, memory: bytes, way: int) -> _Record:
        middle, end = way + self._half_size, way + self._way_size
        first, second = _HEAD.unpack_from(memory, way), _HEAD.unpack_from(memory, middle)
        # The younger, unless its writer was killed while it wrote.
        if first[_AGE] > second[_AGE]:
            if first[_SUM] == crc32(memory[way + _CHECK.size : middle]):
                return _Record(first[_KEY], memory[way + _HEAD.size : middle], first[_AGE], middle)
            first = _NOTHING
        if second[_AGE] and second[_SUM] == crc32(memory[middle + _CHECK.size : end]):
            return _Record(second[_KEY], memory[middle + _HEAD.size : end], second[_AGE], way)
        if first[_AGE] and first[_SUM] == crc32(memory[way + _CHECK.size : middle]):
            return _Record(first[_KEY], memory[way + _HEAD.size : middle], first[_AGE], middle)
        return _Record(_FREE, b"", 0, way)

    def _spare(self, memory: bytes) -> _Record:
        records = [self._record(memory, way) for way in range(0, self._group_size, self._way_size)]
        for record in records:
            if record.key == _FREE:
                return record
        least = min(records, key=lambda record: self._worth(record.payload))
        self.evicted += self._worth(least.payload) > 0
        return least

    def _write(self, start: int, key: bytes, payload: bytes, place: _Record) -> None:
        age = place.age + 1
        if age > _OLDEST:
            # Nobody changes a record so often: a process that has gone bad has written that. The other half goes too.
            age, way = 1, start + place.next - place.next % self._way_size
            self._memory[way : way + self._way_size] = bytes(self._way_size)
        body = _BODY.pack(key, age) + payload
        at = start + place.next
        self._memory[at : at + self._half_size] = _CHECK.pack(crc32(body)) + body
