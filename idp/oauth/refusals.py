"""Writing refusals down: enough for whoever investigates, and not more than a stranger can be allowed to write.

Anybody may send nonsense to /authorize and /token as fast as the network carries it; a trail that is kept for years must not grow
at that speed (attack 141). Of one address so many refusals a minute are written; that there were more, limits writes once, and whoever
proved nothing is told 429. A client that proved who it is has a budget of its own, and is always told what is wrong: many people
stand behind one application's address.
"""

from __future__ import annotations

from typing import Any

from idp import audit, clients, crypto, kv, limits, present, web
from idp.config import settings
from idp.limits import Verdict

WINDOW_S = 60
PER_ATTEMPT = 2  # so many refusals for each attempt that the settings allow an address in a minute


def record(event: audit.Event, **facts: Any) -> Verdict:
    """Record a refusal within the budget of whoever caused it; says no to a stranger who has used it up."""
    try:
        verdict = limits.spend("refusals", _whose(), count=written(), window_s=WINDOW_S)
    except kv.Unavailable:
        verdict = Verdict(True)
    if verdict.allowed:
        audit.record(event, **facts)
    return Verdict(True) if present.kept().get("proven_client") else verdict


def written() -> int:
    """Return how many refusals of one address, or of one client that proved itself, are written in a minute."""
    return PER_ATTEMPT * settings().limits.address_per_minute


def prove(client_id: str) -> None:
    """Note that this request comes from a client that proved who it is."""
    present.kept().proven_client = client_id


def named(client_id: str | None) -> str | None:
    """Return a client's name for the audit: of one that is not registered only a keyed digest, because people put secrets
    into the wrong field (attack 133)."""
    if not client_id:
        return None
    return client_id if clients.find(client_id) else f"unknown:{crypto.mac('unknown client', client_id)[:22]}"


def _whose() -> str:
    return present.kept().get("proven_client") or limits.address_bucket(web.context().address or "")
