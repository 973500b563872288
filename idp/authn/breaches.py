"""breaches — is this password known from somebody else's loss? The operator's corpus first, then, if it is set, a range service.

The range service (`passwords.range_service_url`) is asked by k-anonymity: five hexadecimal digits of the password's SHA-1 leave the
house, many hundred endings come back, and the comparison is made here. It goes out through `outbound` like every address that we do
not own: judged, no redirects, one deadline of 3 s. A service that is away is left alone for a minute and the password passes as far
as the service is concerned (fail open): the shipped list and the corpus still hold, and nobody's sign-in hangs on somebody else's.
"""

from __future__ import annotations

import logging
import re

from idp import kv, outbound
from idp.authn import corpus
from idp.config import settings

log = logging.getLogger(__name__)

PREFIX_HEX = 5
RANGE_BYTES = 512 * 1024
PAUSE_S = 60  # an unreachable service is not asked again this long
_LINE = re.compile(r"([0-9A-F]{35}):(\d+)", re.IGNORECASE)


def known(raw: str, *, ask_service: bool = True) -> bool:
    """Say whether a password is in the corpus of the settings, or known to the range service.

    May go over the network for 3 s: not while a transaction has written something.
    """
    chosen = settings().passwords
    if _in_corpus(raw, chosen.breach_corpus):
        return True
    return ask_service and bool(chosen.range_service_url) and _in_range(raw, chosen.range_service_url)


def _in_corpus(raw: str, path: str) -> bool:
    """A corpus that vanished since the start stops nobody either; `idp doctor` finds it."""
    try:
        listed = corpus.find(path)
    except (OSError, corpus.NotACorpus) as error:
        log.error("passwords.breach_corpus cannot be read: %s", error)
        return False
    return listed is not None and listed.holds(raw)


def _in_range(raw: str, url: str) -> bool:
    if kv.client().exists(_pause()):
        return False
    digest = corpus.sha1(raw).hex().upper()
    try:
        answer = outbound.fetch_text(f"{url.rstrip('/')}/{digest[:PREFIX_HEX]}", max_bytes=RANGE_BYTES)
    except outbound.Unreachable as error:
        kv.client().set(_pause(), "1", ex=PAUSE_S)
        log.warning("passwords.range_service_url: %s; not asked again for %s s", error, PAUSE_S)
        return False
    return digest[PREFIX_HEX:] in _endings(answer)


def _endings(answer: str) -> set[str]:
    """Return the endings that were seen at least once; a service pads its answers with others."""
    lines = (_LINE.fullmatch(line.strip()) for line in answer.splitlines())
    return {found[1].upper() for found in lines if found and int(found[2])}


def _pause() -> str:
    return kv.key("breaches", "pause")
