"""The session record in Redis.

`sso:s:<sid>` is a hash with everything about one session, the secret's digest included: each change is one script on one key,
so no interleaving revives an ended session, and Redis Cluster can hold it. `sso:of:<sub>` lists a person's sids (score: the
absolute end); a stale entry there is harmless.

Times are epoch seconds with fractions. Expiry is decided here by the clock, never by the cookie's age (N-28, standards 7.120);
Redis' own expiry only clears up. A session past its idle limit lingers an hour, so that the browser that comes back ends it
visibly in the audit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from idp import clock, kv
from idp.config import settings

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
    local kept = redis.call('HMGET', KEYS[1], 'secret_digest', 'seen_at', 'expires_at', 'sub')
    if kept[1] ~= ARGV[1] then return {} end
    local now, idle_s, linger_s = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
    local left_s = tonumber(kept[3]) - now
    local cause = (left_s <= 0 and 'absolute') or (now - tonumber(kept[2]) >= idle_s and 'idle')
    if cause then
      redis.call('DEL', KEYS[1])
      return {'expired', cause, kept[4]}
    end
    if now > tonumber(kept[2]) then redis.call('HSET', KEYS[1], 'seen_at', ARGV[2]) end
    redis.call('EXPIRE', KEYS[1], math.ceil(math.min(idle_s, left_s) + linger_s))
    return redis.call('HGETALL', KEYS[1])
    """
)

_END = kv.Script(
    """
    local sub = redis.call('HGET', KEYS[1], 'sub')
    redis.call('DEL', KEYS[1])
    return sub
    """
)


@dataclass(frozen=True)
class SsoSession:
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


@dataclass(frozen=True)
class Expired:
    """A session that was found past its end, and has been removed just now."""

    sub: str
    cause: str


def save(session: SsoSession) -> None:
    """Write a new session. The list of the person comes first: a session that nobody can list must not exist."""
    idle_s, index = settings().sessions.idle_s, _index(session.sub)
    with kv.client().pipeline(transaction=False) as pipe:
        pipe.zremrangebyscore(index, "-inf", clock.now().timestamp())
        pipe.zadd(index, {session.sid: session.expires_at.timestamp()})
        pipe.expire(index, settings().sessions.absolute_s + LINGER_S)
        pipe.hset(_key(session.sid), mapping=cast(Any, _to_fields(session)))
        pipe.expire(_key(session.sid), idle_s + LINGER_S)
        pipe.execute()


def touch(sid: str, secret_digest: str) -> SsoSession | Expired | None:
    """Return the session that this secret opens and slide its idle limit, in one atomic step; None if there is none."""
    answer = _TOUCH([_key(sid)], [secret_digest, _now(), settings().sessions.idle_s, LINGER_S])
    if not answer:
        return None
    if answer[0] == "expired":
        kv.client().zrem(_index(answer[2]), sid)
        return Expired(sub=answer[2], cause=answer[1])
    return _from_fields(sid, dict(zip(answer[::2], answer[1::2], strict=True)))


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
        kv.client().zrem(_index(sub), sid)
    return sub


def of(sub: str) -> list[SsoSession]:
    """Return the live sessions of a person, the most recently used first."""
    now, idle_s = clock.now(), settings().sessions.idle_s
    sids: list[str] = kv.client().zrangebyscore(_index(sub), now.timestamp(), "+inf")  # type: ignore[assignment]
    with kv.client().pipeline(transaction=False) as pipe:
        for sid in sids:
            pipe.hgetall(_key(sid))
        found = [_from_fields(sid, kept) for sid, kept in zip(sids, pipe.execute(), strict=True) if kept]
    live = [session for session in found if (now - session.seen_at).total_seconds() < idle_s]
    return sorted(live, key=lambda session: session.seen_at, reverse=True)


def sids_of(sub: str) -> list[str]:
    """Return every sid the person may have, dead ones included."""
    sids: list[str] = kv.client().zrange(_index(sub), 0, -1)  # type: ignore[assignment]
    return sids


def stamp(moment: datetime) -> str:
    """Write a moment as Redis keeps it."""
    return f"{moment.timestamp():.6f}"


def _now() -> str:
    return stamp(clock.now())


def _key(sid: str) -> str:
    return kv.key("sso", "s", sid)


def _index(sub: str) -> str:
    return kv.key("sso", "of", sub)


_TIMES = ("auth_time", "started_at", "seen_at", "expires_at", "chosen_at")


def _to_fields(session: SsoSession) -> dict[str, Any]:
    times = {name: stamp(getattr(session, name)) for name in _TIMES}
    texts = {name: getattr(session, name) for name in ("sub", "acr", "address", "user_agent", "secret_digest")}
    return texts | times | {"amr": " ".join(session.amr)}


def _from_fields(sid: str, kept: dict[str, str]) -> SsoSession:
    times = {name: datetime.fromtimestamp(float(kept[name]), tz=UTC) for name in _TIMES}
    texts = {name: kept[name] for name in ("sub", "acr", "address", "user_agent", "secret_digest")}
    return SsoSession(sid=sid, amr=tuple(kept["amr"].split()), **texts, **times)  # type: ignore[arg-type]
