"""The session record in Redis.

`sso:s:<sid>` is a hash with everything about one session, the secret's digest included: each change is one script on one key,
so no interleaving revives an ended session, and Redis Cluster can hold it. `sso:of:<sub>` lists a person's sids (score: the
absolute end); a stale entry there is harmless. `sso:ends` lists all sessions by the moment at which each ends if nobody uses it; using
one does not touch the list, the sweep finds a session that was used and moves its entry ahead. An entry carries the subject, so
that a session that Redis itself let go while no sweep ran still ends visibly.

Each session keeps its own idle limit, for what it may be depends on who the person is. Times are epoch seconds with fractions. Expiry is decided here by the clock, never by the cookie's age (N-28, standards 7.120);
Redis' own expiry only clears up. A session past its end lingers an hour, so that the sweep, or the browser that comes back
before it, ends it visibly.
"""

from __future__ import annotations

from dataclasses import field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from idp import clock, crypto, kv
from idp.config import settings
from idp.record import Record

LINGER_S = 3600

_CHANGE = kv.Script(
    """
    if redis.call('HGET', KEYS[1], 'secret_digest') ~= ARGV[1] then return 0 end
    for i = 2, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
    return 1
    """
)

_TOUCH = kv.Script(
    """
    local kept = redis.call('HMGET', KEYS[1], 'secret_digest', 'seen_at', 'expires_at', 'sub', 'idle_s', 'locked_at')
    if kept[1] ~= ARGV[1] then return {} end
    local now, idle_s, linger_s = tonumber(ARGV[2]), tonumber(kept[5] or ARGV[3]), tonumber(ARGV[4])
    local left_s = tonumber(kept[3]) - now
    local cause = (left_s <= 0 and 'absolute') or (now - tonumber(kept[2]) >= idle_s and 'idle')
    if cause then
      redis.call('DEL', KEYS[1])
      return {'expired', cause, kept[4]}
    end
    if (kept[6] or '') ~= '' then return redis.call('HGETALL', KEYS[1]) end
    if now > tonumber(kept[2]) then redis.call('HSET', KEYS[1], 'seen_at', ARGV[2]) end
    redis.call('EXPIRE', KEYS[1], math.ceil(math.min(idle_s, left_s) + linger_s))
    return redis.call('HGETALL', KEYS[1])
    """
)

_EXPIRE = kv.Script(
    """
    local kept = redis.call('HMGET', KEYS[1], 'seen_at', 'expires_at', 'idle_s')
    if not kept[1] then return {'gone', '0'} end
    local now, idle_s = tonumber(ARGV[1]), tonumber(kept[3] or ARGV[2])
    local idle_at, absolute_at = tonumber(kept[1]) + idle_s, tonumber(kept[2])
    local cause = (absolute_at <= now and 'absolute') or (idle_at <= now and 'idle')
    if not cause then return {'alive', string.format('%.6f', math.min(idle_at, absolute_at))} end
    redis.call('DEL', KEYS[1])
    return {cause, '0'}
    """
)

_KEEP = kv.Script(
    """
    local kept = redis.call('HMGET', KEYS[1], 'seen_at', 'expires_at', 'idle_s', 'locked_at')
    if not kept[1] then return 0 end
    local now, idle_s, linger_s = tonumber(ARGV[1]), tonumber(kept[3] or ARGV[2]), tonumber(ARGV[3])
    local left_s = tonumber(kept[2]) - now
    if left_s <= 0 or now - tonumber(kept[1]) >= idle_s then return 0 end
    if (kept[4] or '') ~= '' then return 1 end
    if now > tonumber(kept[1]) then redis.call('HSET', KEYS[1], 'seen_at', ARGV[1]) end
    redis.call('EXPIRE', KEYS[1], math.ceil(math.min(idle_s, left_s) + linger_s))
    return 1
    """
)

_END = kv.Script(
    """
    local sub = redis.call('HGET', KEYS[1], 'sub')
    redis.call('DEL', KEYS[1])
    return sub
    """
)


class SsoSession(Record):
    """One signed-in browser. `sid` is public; `secret_digest` stays inside this room."""

    sid: str
    sub: str
    acr: str
    amr: tuple[str, ...]
    auth_time: datetime  # when the person last proved who they are
    started_at: datetime
    seen_at: datetime
    expires_at: datetime  # absolute end, however busy the session is
    chosen_at: datetime  # when the person last said «continue as me» (prompt=select_account)
    address: str
    user_agent: str
    secret_digest: str = field(repr=False, default="")
    idle_s: int = 900  # ends after this long without a request
    locked_at: datetime | None = None  # its person left a shared workstation; a fresh sign-in of theirs goes on with it

    @property
    def idle_at(self) -> datetime:
        """When it ends if nobody uses it."""
        return min(self.seen_at + timedelta(seconds=self.idle_s), self.expires_at)


class Expired(Record):
    """A session that was found past its end, and has been removed just now."""

    sub: str
    cause: str
    sid: str


def save(session: SsoSession) -> None:
    """Write a new session. The list of the person comes first: a session that nobody can list must not exist."""
    index = _index(session.sub)
    with kv.client().pipeline(transaction=False) as pipe:
        pipe.zremrangebyscore(index, "-inf", clock.now().timestamp())
        pipe.zadd(index, {session.sid: session.expires_at.timestamp()})
        pipe.expire(index, _longest_s() + LINGER_S)
        pipe.zadd(_ends(), {_entry(session.sid, session.sub): session.seen_at.timestamp() + session.idle_s})
        pipe.hset(_key(session.sid), mapping=cast(Any, _to_fields(session)))
        pipe.expire(_key(session.sid), session.idle_s + LINGER_S)
        pipe.execute()


def touch(sid: str, secret_digest: str) -> SsoSession | Expired | None:
    """Return the session that this secret opens and slide its idle limit, in one atomic step; None if there is none."""
    answer = _TOUCH([_key(sid)], [secret_digest, _now(), settings().sessions.idle_s, LINGER_S])
    if not answer:
        return None
    if answer[0] == "expired":
        return Expired(sub=answer[2], cause=answer[1], sid=sid) if _forget(sid, answer[2]) else None
    return _from_fields(sid, dict(zip(answer[::2], answer[1::2], strict=True)))


def peek(sid: str, secret_digest: str) -> SsoSession | None:
    """Return the living session that this secret opens, and change nothing: neither its limits nor what has passed them."""
    kept: dict[str, str] = kv.client().hgetall(_key(sid))  # type: ignore[assignment]
    if not kept or not crypto.same(kept["secret_digest"], secret_digest):
        return None
    found = _from_fields(sid, kept)
    return found if found.idle_at > clock.now() else None


def is_alive(sid: str) -> bool:
    """Say whether a session has neither ended nor passed its limits, locked or not; changes nothing."""
    seen_at, expires_at, idle_s = kv.call("HMGET", _key(sid), "seen_at", "expires_at", "idle_s")
    if not seen_at or not expires_at:
        return False
    idle_at = float(seen_at) + float(idle_s or settings().sessions.idle_s)
    return clock.now().timestamp() < min(idle_at, float(expires_at))


def lock(session: SsoSession) -> bool:
    """Note that the person left: the session opens nothing until they sign in again. False when it has ended meanwhile."""
    return change(session, locked_at=_now())


def keep(sid: str) -> bool:
    """Slide the idle limit of a session without its secret. False when it has ended or is past its end: nothing revives it."""
    return bool(_KEEP([_key(sid)], [_now(), settings().sessions.idle_s, LINGER_S]))


def expire_due(*, limit: int) -> list[Expired]:
    """End sessions that are past their end and whose browser has not come back, at most `limit`; each is returned to one caller."""
    now = clock.now().timestamp()
    due: list[str] = kv.client().zrangebyscore(_ends(), "-inf", now, start=0, num=limit)  # type: ignore[assignment]
    return [expired for entry in due if (expired := _expire(entry)) is not None]


def _expire(entry: str) -> Expired | None:
    sid, _, sub = entry.partition(" ")
    found, ends_at = _EXPIRE([_key(sid)], [_now(), settings().sessions.idle_s])
    if found == "alive":
        kv.client().zadd(_ends(), {entry: float(ends_at)}, xx=True)
        return None
    if not _forget(sid, sub):
        return None
    return Expired(sub, "idle" if found == "gone" else found, sid)  # gone: Redis let it go before any sweep


def change(session: SsoSession, **fields: str) -> bool:
    """Change fields of a session that still has the secret it was opened with. False: it has ended or was renewed."""
    flat = [item for pair in fields.items() for item in pair]
    return bool(_CHANGE([_key(session.sid)], [session.secret_digest, *flat]))


def choose(session: SsoSession) -> bool:
    """Note that the person said «continue as me» now. False when the session has ended meanwhile."""
    return change(session, chosen_at=_now())


def remove(sid: str) -> str | None:
    """End a session; return its subject, or None if it had ended before: of many callers one hears the subject."""
    sub: str | None = _END([_key(sid)])
    if sub:
        _forget(sid, sub)
    return sub


def of(sub: str) -> list[SsoSession]:
    """Return the live sessions of a person, the most recently used first."""
    now = clock.now()
    sids: list[str] = kv.client().zrangebyscore(_index(sub), now.timestamp(), "+inf")  # type: ignore[assignment]
    with kv.client().pipeline(transaction=False) as pipe:
        for sid in sids:
            pipe.hgetall(_key(sid))
        found = [_from_fields(sid, kept) for sid, kept in zip(sids, pipe.execute(), strict=True) if kept]
    live = [session for session in found if now < session.idle_at]
    return sorted(live, key=lambda session: session.seen_at, reverse=True)


def sids_of(sub: str) -> list[str]:
    """Return every sid the person may have, dead ones included."""
    sids: list[str] = kv.client().zrange(_index(sub), 0, -1)  # type: ignore[assignment]
    return sids


def stamp(moment: datetime) -> str:
    """Write a moment as Redis keeps it."""
    return f"{moment.timestamp():.6f}"


def _longest_s() -> int:
    """Return the longest life that any session may have: a person's list must outlive them all."""
    return max(settings().sessions.absolute_s, *(policy.absolute_s or 0 for policy in settings().policies), 0)


def _now() -> str:
    return stamp(clock.now())


def _key(sid: str) -> str:
    return kv.key("sso", "s", sid)


def _index(sub: str) -> str:
    return kv.key("sso", "of", sub)


def _ends() -> str:
    return kv.key("sso", "ends")


def _entry(sid: str, sub: str) -> str:
    return f"{sid} {sub}"


def _forget(sid: str, sub: str) -> bool:
    """Take an ended session off both lists; True for the one caller who took it off that of the sweep, and so tells of the end."""
    kv.client().zrem(_index(sub), sid)
    return kv.client().zrem(_ends(), _entry(sid, sub)) == 1


_TIMES = ("auth_time", "started_at", "seen_at", "expires_at", "chosen_at")


def _to_fields(session: SsoSession) -> dict[str, Any]:
    times = {name: stamp(getattr(session, name)) for name in _TIMES}
    texts = {name: getattr(session, name) for name in ("sub", "acr", "address", "user_agent", "secret_digest")}
    locked_at = stamp(session.locked_at) if session.locked_at else ""
    return texts | times | {"amr": " ".join(session.amr), "idle_s": session.idle_s, "locked_at": locked_at}


def _from_fields(sid: str, kept: dict[str, str]) -> SsoSession:
    times = {name: datetime.fromtimestamp(float(kept[name]), tz=UTC) for name in _TIMES}
    texts = {name: kept[name] for name in ("sub", "acr", "address", "user_agent", "secret_digest")}
    idle_s = int(kept.get("idle_s") or settings().sessions.idle_s)  # sessions of earlier versions have the general one
    locked_at = datetime.fromtimestamp(float(kept["locked_at"]), tz=UTC) if kept.get("locked_at") else None
    amr = tuple(kept["amr"].split())
    return SsoSession(sid=sid, amr=amr, idle_s=idle_s, locked_at=locked_at, **texts, **times)  # type: ignore[arg-type]
