"""corpus — a file of breached passwords that the operator brings: built once, looked into by every worker, never loaded whole.

A header of 32 bytes, then the first 12 bytes of the SHA-1 of each password, sorted. The file is mapped into memory, so that a thousand
million entries (12 GB on disk) cost pages and not RAM; a look is a binary search. With 96 bits of each hash the chance that any given
good password is taken for a breached one is below 2**-66. SHA-1 here names passwords as the published lists do; it protects nothing.
"""

from __future__ import annotations

import hashlib
import heapq
import mmap
import re
import tempfile
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from idp.record import Record

MAGIC = b"idp password corpus 1\n"
HEADER, RECORD = 32, 12  # bytes
CHUNK = 1_000_000  # lines that are sorted at once
MOST_LINE = 1024  # bytes; a longer line is no password that anybody typed

_SHA1_LINE = re.compile(rb"[0-9A-Fa-f]{40}(?::\d+)?")


class NotACorpus(Exception):
    """The file is not one that `build` made, or what was given to `build` is not one kind of lines; the message says which."""


class Built(Record):
    """What came of building: how many passwords, and what the lines were taken for (sha1 or plaintext)."""

    count: int
    lines: str


class Corpus:
    """A corpus file, mapped. Raises NotACorpus for any other file."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            head = file.read(HEADER)
            size = file.seek(0, 2) - HEADER
            if len(head) < HEADER or not head.startswith(MAGIC) or size < RECORD or size % RECORD:
                raise NotACorpus(f"{path} is not a corpus; `idp passwords corpus build` makes one")
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.count = size // RECORD

    def holds(self, raw: str) -> bool:
        """Say whether this very password is in it: the whole of it, in NFC, letter by letter (N-6)."""
        wanted = sha1(raw)[:RECORD]
        place = bisect_left(range(self.count), wanted, key=self._record)
        return place < self.count and self._record(place) == wanted

    def _record(self, place: int) -> bytes:
        start = HEADER + place * RECORD
        return self._bytes[start : start + RECORD]


def find(path: str) -> Corpus | None:
    """Return the corpus of the settings; None when none is named. A file that was replaced is opened anew. Raises NotACorpus, OSError."""
    if not path:
        return None
    seen = Path(path).stat()
    return _opened(path, seen.st_mtime_ns, seen.st_size)


@lru_cache(maxsize=2)
def _opened(path: str, _mtime_ns: int, _size: int) -> Corpus:
    return Corpus(Path(path))


def sha1(raw: str) -> bytes:
    """Return the name of a password in published lists: SHA-1 of its UTF-8, in NFC."""
    encoded = unicodedata.normalize("NFC", raw).encode("utf-8", "surrogatepass")
    return hashlib.sha1(encoded, usedforsecurity=False).digest()


def build(source: BinaryIO, out: Path) -> Built:
    """Make a corpus file of lines: 40 hexadecimal digits (`:count` may follow), or passwords in the clear; the first line decides.

    Takes any order and any number; works in pieces beside `out`, which appears when it is whole. Raises NotACorpus.
    """
    lines = (line.rstrip(b"\r\n") for line in source)
    first = next((line for line in lines if line), None)
    if first is None:
        raise NotACorpus("there is not one line in it")
    hashed = _SHA1_LINE.fullmatch(first) is not None
    names = _names(_again(first, lines), hashed=hashed)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".corpus-") as folder:
        made = Path(folder) / "out"
        count = _write(made, heapq.merge(*_runs(names, Path(folder))))
        if not count:
            raise NotACorpus("there is not one password in it")
        made.replace(out)
    return Built(count, "sha1" if hashed else "plaintext")


def _again(first: bytes, rest: Iterable[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _names(lines: Iterable[bytes], *, hashed: bool) -> Iterator[bytes]:
    for number, line in enumerate(lines, start=1):
        if not line or len(line) > MOST_LINE:
            continue
        if not hashed:
            yield _sha1_of_line(line)
        elif _SHA1_LINE.fullmatch(line):
            yield bytes.fromhex(line[: 2 * RECORD].decode("ascii"))
        else:
            raise NotACorpus(f"line {number} is not a SHA-1 of 40 hexadecimal digits, as the first line is")


def _sha1_of_line(line: bytes) -> bytes:
    """Name a password in the clear; a line in another encoding stays as it is."""
    try:
        return sha1(line.decode("utf-8"))[:RECORD]
    except UnicodeDecodeError:
        return hashlib.sha1(line, usedforsecurity=False).digest()[:RECORD]


def _runs(names: Iterator[bytes], folder: Path) -> list[Iterator[bytes]]:
    """Write sorted pieces, and return readers of them."""
    paths: list[Path] = []
    while piece := sorted(set(islice(names, CHUNK))):
        path = folder / f"run{len(paths)}"
        path.write_bytes(b"".join(piece))
        paths.append(path)
    return [_records(path) for path in paths]


def _records(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while record := file.read(RECORD):
            yield record


def _write(path: Path, names: Iterable[bytes]) -> int:
    """Write the header and each record once; return how many."""
    count, last = 0, b""
    with path.open("wb") as file:
        file.write(MAGIC.ljust(HEADER, b"\0"))
        for name in names:
            if name != last:
                file.write(name)
                count, last = count + 1, name
    return count
