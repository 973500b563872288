"""hashing — our password hash: `bcrypt(base64(HMAC-SHA-256(pepper, NFC(password))))` (standards C-1…C-9). Pure: no database, no Flask.

The keyed pre-hash makes any password 44 ASCII bytes: bcrypt takes at most 72 and stops at nothing (C-1, C-2), the whole password
counts (N-3), and a stolen table is worth nothing without the pepper. Scheme, pepper id and cost are kept with each hash, so that
all three can change: a hash that is behind is replaced at the next successful sign-in (C-4). Runs in the `hash_pool`.
"""

from __future__ import annotations

import base64
import hmac
import time
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

import bcrypt

from idp.authn import foreign_hashes
from idp.authn.foreign_hashes import MalformedHash
from idp.authn.password_policy import MAX_CODE_POINTS
from idp.config import Settings, key_bytes
from idp.record import Record

SCHEME = "bcrypt-hmac-sha256"
FLOOR_COST, CEILING_COST = 10, 16  # OWASP ASVS appendix C; and what nobody would wait for
_LEAST_COST = 4  # bcrypt's own
_NEVER = "\x00"  # in place of what is too long: no password may contain it
_DUMMY_TAIL = "abcdefghijklmnopqrstuu" + "A" * 31  # a salt and a digest that no password has


class Stored(Record):
    """A password hash with what is needed to check it. `scheme` is ours, or the name of a foreign one."""

    text: str
    scheme: str = SCHEME
    pepper_id: str = ""
    cost: int = 0


class Recipe(Record):
    """How passwords are hashed now, and every pepper that older hashes may need."""

    peppers: tuple[tuple[str, bytes], ...]  # the first is used for new hashes
    cost: int

    def pepper(self, pepper_id: str) -> bytes:
        """Return a pepper. Raises MalformedHash when it is not configured any more."""
        for known, raw in self.peppers:
            if known == pepper_id:
                return raw
        raise MalformedHash("pepper_missing")


class Checked(Record):
    """What came of a check: right or not; why it could not be judged; a fresh hash to keep when the old one was behind."""

    right: bool
    problem: str | None = None
    fresh: Stored | None = None


def recipe_of(settings: Settings) -> Recipe:
    """Return the recipe of the settings."""
    return Recipe(tuple(key_bytes(entry) for entry in settings.secrets.peppers), settings.passwords.bcrypt_cost)


def make(raw: str, recipe: Recipe) -> Stored:
    """Hash a new password. One bcrypt. Raises ValueError beyond 256 code points: such a password could never be checked."""
    if len(raw) > MAX_CODE_POINTS:
        raise ValueError("a password has at most 256 code points")
    pepper_id, pepper = recipe.peppers[0]
    hashed = bcrypt.hashpw(_prehash(raw, pepper), bcrypt.gensalt(recipe.cost))
    return Stored(hashed.decode("ascii"), SCHEME, pepper_id, recipe.cost)


def check(raw: str, stored: Stored | None, recipe: Recipe) -> Checked:
    """Judge a password against a hash, or against nothing: then, too, one bcrypt of the present cost is paid (C-7).

    A wrong password never costs less than that, however cheap the stored hash is, and a stored hash that cannot be read is a
    wrong password with a `problem` (C-6). Success against a hash that is behind brings a fresh one.
    """
    began, problem = time.thread_time(), None
    try:
        if stored is not None and _fits(raw, stored, recipe):
            return Checked(True, fresh=make(raw, recipe) if is_behind(stored, recipe) else None)
    except MalformedHash as error:
        problem = str(error)
    _pay(recipe, began)
    return Checked(False, problem)


def among(raw: str, earlier: Sequence[Stored], recipe: Recipe) -> bool:
    """Say whether a password is one of a few earlier ones (C-9). One bcrypt for each; what cannot be read is not it."""
    return any(_fits_or_not(raw, stored, recipe) for stored in earlier)


def is_behind(stored: Stored, recipe: Recipe) -> bool:
    """Say whether a hash should be replaced: foreign, an old pepper, or another cost."""
    return (stored.scheme, stored.pepper_id, stored.cost) != (SCHEME, recipe.peppers[0][0], recipe.cost)


def calibrate(target_ms: float = 300.0) -> tuple[int, float]:
    """Return the highest cost whose hash stays within `target_ms` on this machine, at least 10, and what it takes in ms."""
    cost, least = FLOOR_COST, takes_s(FLOOR_COST) * 1000
    while cost < CEILING_COST and least * 2 ** (cost + 1 - FLOOR_COST) <= target_ms:
        cost += 1
    return cost, least * 2 ** (cost - FLOOR_COST)


def takes_s(cost: int) -> float:
    """Measure what one hash costs here, in seconds of a core: from cheap ones, since bcrypt doubles with each step."""
    return min(_timed(8) for _ in range(3)) * 2.0 ** (cost - 8)


def _fits(raw: str, stored: Stored, recipe: Recipe) -> bool:
    if stored.scheme != SCHEME:
        return foreign_hashes.matches(raw if len(raw) <= MAX_CODE_POINTS else _NEVER, stored.text)
    try:
        return bcrypt.checkpw(_prehash(raw, recipe.pepper(stored.pepper_id)), stored.text.encode("ascii"))
    except (ValueError, TypeError) as error:
        raise MalformedHash(type(error).__name__) from None


def _fits_or_not(raw: str, stored: Stored, recipe: Recipe) -> bool:
    try:
        return _fits(raw, stored, recipe)
    except MalformedHash:
        return False


def _prehash(raw: str, pepper: bytes) -> bytes:
    """Return 44 ASCII bytes for any text: also for lone surrogates, NULs and a megabyte (7.87)."""
    bounded = raw if len(raw) <= MAX_CODE_POINTS else _NEVER
    encoded = unicodedata.normalize("NFC", bounded).encode("utf-8", "surrogatepass")
    return base64.b64encode(hmac.digest(pepper, encoded, "sha256"))


def _pay(recipe: Recipe, began: float) -> None:
    """Bring a failed check up to the price of one at the present cost, in this thread's CPU time (C-7).

    A stored hash of the present cost has paid already; for nobody's hash the whole is owed; for a cheaper one the rest is made
    up of cheaper hashes, each half of the one before.
    """
    whole = _price(recipe.cost)
    for cost in range(recipe.cost, _LEAST_COST - 1, -1):
        step = whole / 2 ** (recipe.cost - cost)
        if time.thread_time() - began + step <= whole * (1 + 1 / 64):
            _dummy(cost)


@lru_cache(maxsize=8)
def _price(cost: int) -> float:
    """CPU seconds of one check at `cost`, from a cheap probe: bcrypt doubles with each step."""
    probe = max(_LEAST_COST, cost - 4)
    return min(_timed(probe) for _ in range(3)) * 2.0 ** (cost - probe)


def _timed(cost: int) -> float:
    began = time.thread_time()
    _dummy(cost)
    return time.thread_time() - began


def _dummy(cost: int) -> None:
    bcrypt.checkpw(b"nobody", f"$2b${cost:02d}${_DUMMY_TAIL}".encode("ascii"))
