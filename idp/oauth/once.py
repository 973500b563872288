"""What may be used once: names of assertions and requests, burnt in one atomic step (`SET NX`), whoever else is trying."""

from __future__ import annotations

from idp import crypto, kv


def burn(name: str, *, lifetime_s: int) -> bool:
    """Use a name up. True for the first who does, False for everybody after, for `lifetime_s` seconds."""
    return bool(kv.call("SET", _key(name), "1", "NX", "EX", max(1, lifetime_s)))


def is_burnt(name: str) -> bool:
    """Say whether a name was used up. Nobody decides by it alone: between it and `burn` another may come first."""
    return bool(kv.client().exists(_key(name)))


def _key(name: str) -> str:
    return kv.key("once", crypto.digest(name))
