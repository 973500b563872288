"""replies — what lies ready for a request of the same bytes: public documents that every relying application asks for in the same words.

Nothing that an answer depends on is outside of the request's bytes: host, origin, conditions and versions are all in them. So the same
bytes, on a connection where nothing else is going on, get the same reply for as long as the document may be given again; they are not even parsed.
"""

from __future__ import annotations

import time

MOST, LONGEST = 32, 4096  # requests that are known, and bytes of one


class Replies:
    """Raw requests and the bytes that answer them, until a moment of `time.monotonic`."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[float, bytes]] = {}

    def find(self, raw: bytes) -> bytes | None:
        """Return the reply to exactly these bytes, or None when somebody has to read them."""
        if not self._known or len(raw) > LONGEST:
            return None
        until, reply = self._known.get(raw, (0.0, None))
        return reply if time.monotonic() < until else None

    def keep(self, raw: bytes, reply: bytes, until: float) -> None:
        """Remember a reply."""
        if len(raw) <= LONGEST:
            if len(self._known) >= MOST:
                self._known.clear()
            self._known[raw] = until, reply

    def forget(self) -> None:
        """Forget all of them; once a second, since each names the date."""
        self._known.clear()
