"""Device codes: in Redis for ten minutes, known to the device by 256 bits and to the person by eight letters (RFC 8628).

The device code is kept as its digest and the user code as a keyed one, so that who reads Redis can redeem nothing. One hash holds what
was asked and how far it is: pending → approved | denied, approved → spent. Every step is one atomic script, so that of any number of
polls one has the tokens, and of any number of browsers one decides.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, cast

import orjson

from idp import clock, crypto, kv
from idp.oauth.resources import Asked
from idp.record import Record

EXPIRES_S = 600
INTERVAL_S = 5  # between two polls; each that comes too early adds as much again (RFC 8628 section 3.5)
PATIENCE_MS = 500  # what the network may take away from an interval
KEPT_S = 2 * EXPIRES_S  # the device is told "expired" for a while, and not "unknown"

LETTERS = "BCDFGHJKLMNPQRSTVWXZ"  # no vowels: no words, and nothing that looks like a digit (section 6.1)
LENGTH = 8  # 34 bits; limits keep guesses at some dozens

_START = kv.Script("""
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 1
""")

# KEYS: the hash. ARGV: client_id, now in ms, patience in ms, step of the interval in ms. Answers what a poll is to be told.
_POLL = kv.Script("""
local seen = redis.call('HMGET', KEYS[1], 'client_id', 'status', 'expires_at', 'next_at', 'interval')
local now = tonumber(ARGV[2])
if not seen[1] then return 'unknown' end
if seen[1] ~= ARGV[1] then return 'foreign' end
if seen[2] ~= 'pending' then return seen[2] end
if now >= tonumber(seen[3]) then return 'expired' end
local early, interval = now + tonumber(ARGV[3]) < tonumber(seen[4]), tonumber(seen[5])
if early then interval = interval + tonumber(ARGV[4]) end
redis.call('HSET', KEYS[1], 'interval', interval, 'next_at', now + interval)
return early and 'slow_down' or 'pending'
""")

# KEYS: the hash. ARGV: the status it must have, the new one, now in ms, more fields. Answers 1 for the one who changed it.
_MOVE = kv.Script("""
local seen = redis.call('HMGET', KEYS[1], 'status', 'expires_at')
if seen[1] ~= ARGV[1] then return 0 end
if ARGV[1] == 'pending' and tonumber(ARGV[3]) >= tonumber(seen[2]) then return 0 end
redis.call('HSET', KEYS[1], 'status', ARGV[2], unpack(ARGV, 4))
return 1
""")


class DeviceGrant(Record):
    """What a device asked for, from where, and what became of it."""

    digest: str
    client_id: str
    asked: Asked
    user_code: str
    address: str
    started_at: int
    status: str
    family_id: str | None = None
    authorization_details: tuple[dict[str, Any], ...] = ()


class Started(Record):
    """The two codes of a new device authorization."""

    raw_device_code: str
    user_code: str


def start(client_id: str, asked: Asked, *, address: str, details: Sequence[dict[str, Any]] = ()) -> Started:
    """Begin a device authorization (RFC 8628 section 3.2)."""
    raw_code, now = crypto.random_token(), clock.milliseconds()
    digest = crypto.digest(raw_code)
    user_code = _claim_user_code(digest)
    fields: dict[str, str | int] = {
        "client_id": client_id,
        "asked": orjson.dumps([asked.scopes, asked.resources]).decode(),
        "details": orjson.dumps(details).decode(),
        "user_code": user_code,
        "address": address,
        "status": "pending",
        "started_at": now // 1000,
        "expires_at": now + EXPIRES_S * 1000,
        "next_at": now,
        "interval": INTERVAL_S * 1000,
    }
    _START([_key(digest)], [KEPT_S, *(part for pair in fields.items() for part in pair)])
    return Started(raw_code, shown(user_code))


def poll(raw_code: str, *, client_id: str) -> str:
    """Count one poll and say what the device is told: unknown, foreign, pending, slow_down, expired, approved, denied, spent."""
    step_ms = INTERVAL_S * 1000
    return str(_POLL([_key(crypto.digest(raw_code))], [client_id, clock.milliseconds(), PATIENCE_MS, step_ms]))


def find(digest: str) -> DeviceGrant | None:
    """Return a device authorization that has not been forgotten, or None."""
    kept = cast(dict[str, str], kv.client().hgetall(_key(digest)))
    if not kept:
        return None
    scopes, resources = orjson.loads(kept["asked"])
    return DeviceGrant(
        digest=digest,
        client_id=kept["client_id"],
        asked=Asked(tuple(scopes), tuple(resources)),
        user_code=shown(kept["user_code"]),
        address=kept["address"],
        started_at=int(kept["started_at"]),
        status=kept["status"] if clock.milliseconds() < int(kept["expires_at"]) else "expired",
        family_id=kept.get("family_id"),
        authorization_details=tuple(orjson.loads(kept.get("details", "[]"))),
    )


def find_by_user_code(typed: str) -> DeviceGrant | None:
    """Return the pending authorization whose code a person typed, in any case and with any dashes or spaces; None if there is none."""
    code = read(typed)
    digest = kv.client().get(_user_key(code)) if code else None
    found = find(str(digest)) if digest else None
    return found if found is not None and found.status == "pending" else None


def approve(grant: DeviceGrant, *, family_id: str) -> bool:
    """Let the device have the tokens of a family. False if it was decided or has expired meanwhile."""
    return bool(_MOVE([_key(grant.digest)], ["pending", "approved", clock.milliseconds(), "family_id", family_id]))


def deny(grant: DeviceGrant) -> bool:
    """Say no. False if it was decided or has expired meanwhile."""
    return bool(_MOVE([_key(grant.digest)], ["pending", "denied", clock.milliseconds(), "family_id", ""]))


def take(grant: DeviceGrant) -> bool:
    """Spend an approved device code: true for one caller, whoever else is trying."""
    return bool(_MOVE([_key(grant.digest)], ["approved", "spent", clock.milliseconds(), "family_id", ""]))


def read(typed: str) -> str | None:
    """Return a user code as we keep it, or None for what cannot be one."""
    letters = "".join(character for character in typed.upper() if character not in " -–—_.\t")
    return letters if len(letters) == LENGTH and set(letters) <= set(LETTERS) else None


def shown(user_code: str) -> str:
    """Return a user code in two groups, as people read it."""
    return f"{user_code[:4]}-{user_code[4:]}"


def _claim_user_code(digest: str) -> str:
    while True:
        code = "".join(secrets.choice(LETTERS) for _ in range(LENGTH))
        if kv.client().set(_user_key(code), digest, ex=EXPIRES_S, nx=True):
            return code


def _key(digest: str) -> str:
    return kv.key("device", digest)


def _user_key(code: str) -> str:
    return kv.key("device", "user", crypto.mac("device user code", code)[:32])
