"""keys.proven — tokens of ours whose bytes were judged a moment ago: well formed, and signed by a published key.

A token comes back many times while it lives, and its bytes stay what they are. So what they proved is kept, under SHA-256 of the whole
token (another spelling, another byte of the signature, is another name), in the ring whose key signed it: when the set of keys changes there is
a new ring, and it begins with nothing. What was refused is never kept. When, for whom and whether still: the caller judges that at every use.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from typing import NamedTuple

KEPT = 4096  # tokens; the one that was not used for longest goes first
KEPT_CHARS = 2800  # of a token: with its claims it takes about as many bytes, so a ring holds some 10 MB at most


class Proven(NamedTuple):
    """What the bytes of a token say, truly. The claims are text, so that each reader gets some of its own."""

    typ: str
    alg: str
    claims: bytes


class ProvenTokens:
    """The latest of them, for any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, Proven] = OrderedDict()

    def find(self, raw_jwt: str) -> Proven | None:
        """Return what this very token proved, or None."""
        if len(raw_jwt) > KEPT_CHARS:
            return None
        name = _name(raw_jwt)
        with self._lock:
            known = self._known.get(name)
            if known is not None:
                self._known.move_to_end(name)
            return known

    def keep(self, raw_jwt: str, proven: Proven) -> None:
        """Keep what a token proved, for as long as there is room."""
        if len(raw_jwt) > KEPT_CHARS:
            return
        name = _name(raw_jwt)
        with self._lock:
            self._known[name] = proven
            while len(self._known) > KEPT:
                self._known.popitem(last=False)


def _name(raw_jwt: str) -> bytes:
    return hashlib.sha256(raw_jwt.encode("utf-8", "surrogatepass")).digest()
