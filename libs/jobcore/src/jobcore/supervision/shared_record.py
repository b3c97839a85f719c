"""A record in shared memory with one writer; readers see it as it was either before a change or after it.

    version   which copy is the current one: copies[version % 2]
    copies    two of: version, length, checksum, payload

The writer fills the copy that is not current, then makes it current by one aligned store of the version. So a writer
that is frozen or killed during a change leaves the record as it was before. Writers write before they act: what is not
in the record has not begun. The checksum covers the version, so that a reader notices that two changes overtook it, and
reads again. It also tells a damaged copy (a stray write of native code) from a good one.
"""

from __future__ import annotations

import mmap
import struct
import time
import zlib
from typing import Final

WORD: Final = 8
_STAMP: Final = struct.Struct("=qII")  # version, length, checksum
_READ_TRIES: Final = 20
_READ_AGAIN_S: Final = 0.0005


class SharedRecord:
    """Up to `capacity` bytes at an offset of the memory; offset and capacity are multiples of 8."""

    def __init__(self, memory: mmap.mmap, words: memoryview, offset: int, capacity: int) -> None:
        self._memory = memory
        self._words = words
        self._word = offset // WORD
        self._copies = (offset + WORD, offset + WORD + _STAMP.size + capacity)
        self._capacity = capacity

    @staticmethod
    def size(capacity: int) -> int:
        """How many bytes of memory a record of this capacity takes."""
        return WORD + 2 * (_STAMP.size + capacity)

    @property
    def version(self) -> int:
        """Rises by one with every change."""
        return self._words[self._word]

    def write(self, payload: bytes, crc: int | None = None) -> None:
        """Writer only: replace what the record holds; `crc` is the payload's CRC-32 if the caller knows it."""
        version = self._words[self._word] + 1
        stamp = self._copies[version % 2]
        start = stamp + _STAMP.size
        size = len(payload)
        self._memory[start : start + size] = payload
        checksum = _checksum(version, zlib.crc32(payload) if crc is None else crc)
        _STAMP.pack_into(self._memory, stamp, version, size, checksum)
        self._words[self._word] = version

    def read(self) -> bytes | None:
        """What the record holds; None if it is damaged or was never written."""
        for _ in range(_READ_TRIES):
            stamp = self._copies[self.version % 2]
            version, length, checksum = _STAMP.unpack_from(self._memory, stamp)
            if length <= self._capacity:
                payload = self._memory[stamp + _STAMP.size : stamp + _STAMP.size + length]
                if checksum == _checksum(version, zlib.crc32(payload)):
                    return payload
            time.sleep(_READ_AGAIN_S)
        return None


def _checksum(version: int, crc: int) -> int:
    # 1 for version 0, so that memory full of zeros is not taken for an empty record
    return (crc + version + 1) & 0xFFFFFFFF
