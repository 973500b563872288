"""The SSO session and its cookie: the front door for requests and for other rooms.

A new secret is made at the start and at every step up or re-authentication; the old one is dead at once (standards 7.73).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from blinker import Signal
from flask import Response, after_this_request, g, has_request_context

from idp import audit, clock, crypto, web
from idp.config import settings
from idp.sessions import store
from idp.sessions.store import SsoSession

COOKIE = "sso"

ended = Signal(
    "A session has ended, for whatever cause: sent with sub, sid and cause, inside the caller's transaction."
)
all_ended = Signal(
    "Every session of a person was ended on purpose, or there was none: sent with sub, cause and except_sid."
)


def start(
    sub: str,
    *,
    acr: str,
    amr: tuple[str, ...],
    auth_time: datetime,
    idle_s: int | None = None,
    absolute_s: int | None = None,
) -> SsoSession:
    """Begin a session in this browser and give it a cookie with the answer. A session it had before ends.

    `idle_s` and `absolute_s` are what the person's policy allows, and stay with the session; None: the general settings.
    """
    before = current() or locked()
    if before:
        end(before.sid, cause="replaced")
    raw_secret, now, context = crypto.random_token(), clock.now(), web.context()
    session = SsoSession(
        sid=crypto.random_token(16),
        sub=sub,
        acr=acr,
        amr=amr,
        auth_time=auth_time,
        started_at=now,
        seen_at=now,
        chosen_at=now,
        expires_at=now + timedelta(seconds=absolute_s or settings().sessions.absolute_s),
        address=context.address or "",
        user_agent=(context.user_agent or "")[:256],
        secret_digest=crypto.digest(raw_secret),
        idle_s=idle_s or settings().sessions.idle_s,
    )
    store.save(session)
    audit.record(audit.Event.SESSION_STARTED, subject=sub, actor=sub, sid=session.sid, acr=acr, amr=amr)
    return _hold(session, raw_secret)


def current() -> SsoSession | None:
    """Return the session of this browser and slide its idle limit, once a request. Raises kv.Unavailable."""
    if not has_request_context():
        return None
    if "sso_session" not in g:
        g.sso_session = _read()
    found: SsoSession | None = g.sso_session
    return found


def locked() -> SsoSession | None:
    """Return the session of this browser that its person has locked: good for nothing but to go on with, by `renew`."""
    if current() is not None or not has_request_context():
        return None
    found: SsoSession | None = g.get("sso_locked")
    return found


def lock(session: SsoSession) -> bool:
    """Lock the session of this browser: from now on nobody is signed in here, and applications keep what they have.

    Its idle limit slides no further. False when it has ended meanwhile.
    """
    if not store.lock(session):
        return False
    g.sso_session, g.sso_locked = None, session
    audit.record(audit.Event.SESSION_LOCKED, subject=session.sub, actor=session.sub, sid=session.sid)
    return True


def peek() -> SsoSession | None:
    """Return the session of this browser without using it: how long it lasts, for a page that is open. Never a proof of anything."""
    sid, raw_secret = _sent()
    found = store.peek(sid, crypto.digest(raw_secret)) if sid else None
    return None if found is None or found.locked_at else found


def renew(session: SsoSession, *, acr: str, amr: tuple[str, ...], auth_time: datetime) -> SsoSession | None:
    """Give the session a new secret, keeping its `sid`, after a step up or re-authentication.

    Returns None when the session has ended, or was renewed by another tab, since it was read: then start another.
    """
    raw_secret, now = crypto.random_token(), clock.now()
    renewed = replace(
        session, acr=acr, amr=amr, auth_time=auth_time, chosen_at=now, seen_at=now, locked_at=None,
        secret_digest=crypto.digest(raw_secret),
    )  # fmt: skip
    changed = store.change(
        session,
        secret_digest=renewed.secret_digest,
        acr=acr,
        amr=" ".join(amr),
        auth_time=store.stamp(auth_time),
        chosen_at=store.stamp(now),
        seen_at=store.stamp(now),
        locked_at="",
    )
    if not changed:
        return None
    audit.record(audit.Event.SESSION_RENEWED, subject=session.sub, actor=session.sub, sid=session.sid, acr=acr, amr=amr)
    return _hold(renewed, raw_secret)


def end(sid: str, *, cause: str) -> bool:
    """End one session: it is dead in Redis when this returns. False when there was none: `ended` is sent once a session."""
    here = (g.get("sso_session") or g.get("sso_locked")) if has_request_context() else None
    if here and here.sid == sid:
        _drop()
    sub = store.remove(sid)
    if sub is None:
        return False
    _tell(sid, sub, cause)
    return True


def end_all(sub: str, *, cause: str, except_sid: str | None = None) -> int:
    """End every session of a person (but perhaps the one they are working in); return how many there were."""
    count = sum(end(sid, cause=cause) for sid in store.sids_of(sub) if sid != except_sid)
    all_ended.send("sessions", sub=sub, cause=cause, except_sid=except_sid)
    return count


def keep(sid: str) -> bool:
    """Note that the person is at work in an application that this session signed them in to: the idle limit slides.

    False when the session is over; its absolute end never moves.
    """
    return store.keep(sid)


def is_alive(sid: str) -> bool:
    """Say whether a session is still there, a locked one too, without using it: for who was told of it and acts on it later."""
    return store.is_alive(sid)


def was_here(sid: str) -> bool:
    """Say whether the request came with the cookie of this session, living or not."""
    return has_request_context() and (web.read_cookie(COOKIE) or "").partition(".")[0] == sid


def sweep(*, limit: int = 500) -> int:
    """End the sessions that idled or came to their absolute end without coming back; returns how many. Work of a job."""
    expired = store.expire_due(limit=limit)
    for one in expired:
        _tell(one.sid, one.sub, one.cause)
    return len(expired)


def _tell(sid: str, sub: str, cause: str) -> None:
    audit.record(audit.Event.SESSION_ENDED, subject=sub, sid=sid, reason=cause)
    ended.send("sessions", sub=sub, sid=sid, cause=cause)


def _read() -> SsoSession | None:
    sid, raw_secret = _sent()
    if not sid:
        return None
    found = store.touch(sid, crypto.digest(raw_secret))
    if isinstance(found, store.Expired):
        _tell(sid, found.sub, found.cause)
        return None
    if found and found.locked_at:
        g.sso_locked = found
        return None
    return found


def _sent() -> tuple[str, str]:
    """Return what the cookie claims: a sid and its secret; two empty strings for anything that cannot be one."""
    sent = web.read_cookie(COOKIE) or ""
    sid, _, raw_secret = sent.partition(".")
    fits = sid and raw_secret and len(sent) <= 128 and sent.isascii()
    return (sid, raw_secret) if fits else ("", "")


def _hold(session: SsoSession, raw_secret: str) -> SsoSession:
    """Make the session the one of this request, and its secret the cookie of the answer."""
    if has_request_context():
        g.sso_session, g.sso_locked = session, None
        _answer_with(f"{session.sid}.{raw_secret}")
    return session


def _drop() -> None:
    g.sso_session = g.sso_locked = None
    _answer_with("")


def _answer_with(cookie: str) -> None:
    """Set the cookie when the answer leaves; the last word of a request counts."""
    if "sso_cookie" not in g:
        after_this_request(_set_cookie)
    g.sso_cookie = cookie


def _set_cookie(response: Response) -> Response:
    """Send the secret only with an answer whose events are committed: never with a failure of ours (house rule 2)."""
    if not g.sso_cookie:
        web.delete_cookie(response, COOKIE)
    elif response.status_code < 500:
        web.set_cookie(response, COOKIE, g.sso_cookie)
    else:
        store.remove(g.sso_session.sid)
    return response
