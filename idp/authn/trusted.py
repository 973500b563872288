"""Trusted devices: browsers in which a person skips the second factor for a while. Owns the table `trusted_devices`.

NIST SP 800-63B-4 says that a remembered browser shall not replace authentication: this is a deviation (N-29), off unless the policy says
for how long, told by `idp doctor`, and written into the event of every sign-in that leans on it. Such a sign-in is what it is: one
factor (acr 1fa, amr pwd), and its `auth_time` is when both factors were last proved. So it meets no demand for two factors, for a
passkey, for a recent proof or a new one, and opens no errand (`counts`).

A trust belongs to one person, one browser program and system, one password and one set of authenticators: any change of these ends it,
as does every «end all sessions» (a disabled account, a recovery, sign out everywhere). Its cookie opens nothing without the password,
works once, and is replaced each time: a copy is noticed when the second of the two comes along, and ends the trust (attack 109).
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from flask import Response, after_this_request
from sqlalchemy import ForeignKey, String, delete, select, update
from sqlalchemy.orm import Mapped, mapped_column

from idp import audit, clock, crypto, users, web
from idp.authn import assurance, factors, notices, policy, workstation
from idp.authn.assurance import Demand
from idp.authn.factors import password
from idp.db import UtcDateTime, db
from idp.users import User

COOKIE = "trusted"
REMEMBERED = 4  # people who share a browser; the oldest is forgotten
AT_ONCE_S = 60  # a second tab with the cookie of before is no thief

_ENTRY = re.compile(r"[0-9a-f-]{36}\.[A-Za-z0-9_-]{43}")


class TrustedDevice(db.Model):  # type: ignore[name-defined,misc]
    """One browser that one person trusts."""

    __tablename__ = "trusted_devices"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(36), unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    token_digest: Mapped[str] = mapped_column(String(43), unique=True)
    stamp: Mapped[str] = mapped_column(String(43))  # of the password and the authenticators that were there
    user_agent: Mapped[str] = mapped_column(String(256))
    address: Mapped[str] = mapped_column(String(64))  # where it was used last
    proved_at: Mapped[datetime] = mapped_column(UtcDateTime)  # when both factors were proved here
    last_used_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)


def offered_s(user: User) -> int:
    """Return for how many seconds this person may trust a browser; 0: not at all, as on a shared workstation."""
    return 0 if workstation.is_shared() else policy.of(user).trusted_device_s


def counts(demand: Demand) -> bool:
    """Say whether a trust may stand in for the second factor here: not for a level, a recent or new proof, nor an errand. Pure."""
    level = demand.acr in (None, assurance.ONE_FACTOR)
    return level and demand.max_age_s is None and "login" not in demand.prompt and not demand.then


def find(user: User) -> TrustedDevice | None:
    """Return the trust that this browser holds for this person, if it is good now. Changes nothing."""
    row = next((row for row, token in _brought(user) if crypto.same(row.token_digest, crypto.digest(token))), None)
    return row if row and _is_live(user, row) and _program(row.user_agent) == _program(_agent()) else None


def of(user: User) -> list[TrustedDevice]:
    """Return the browsers that a person trusts now, the most recently used first."""
    rows = _rows(TrustedDevice.user_id == user.id)
    return sorted((row for row in rows if _is_live(user, row)), key=lambda row: row.last_used_at, reverse=True)


def is_here(row: TrustedDevice) -> bool:
    """Say whether a trust is that of the browser that asks."""
    return any(entry.startswith(f"{row.public_id}.") for entry in _entries())


def remember(user: User, *, proved_at: datetime | None = None) -> None:
    """Trust this browser: both factors were proved in it just now, or the password at `proved_at`, with the session that goes on.

    It lasts from the older of the two: nobody prolongs a trust without the password. Does nothing where the policy offers none.
    """
    now, offered = clock.now(), offered_s(user)
    proved_at = proved_at or now
    ends_at = proved_at + timedelta(seconds=offered)
    if ends_at <= now:
        return
    for row, _ in _brought(user):
        _end(row.public_id, user, "replaced", actor=user.sub)
        db.session.expunge(row)  # SQLite gives its number to the next one
    raw_token, public_id = crypto.random_token(), crypto.uuid7()
    made = TrustedDevice(
        public_id=public_id,
        user_id=user.id,
        token_digest=crypto.digest(raw_token),
        stamp=_stamp(user),
        user_agent=_agent(),
        address=web.context().address or "",
        proved_at=proved_at,
        last_used_at=now,
        expires_at=ends_at,
    )
    db.session.add(made)
    db.session.flush()
    _hold(f"{public_id}.{raw_token}")
    audit.record(audit.Event.TRUSTED_DEVICE_ADDED, subject=user.sub, actor=user.sub, device=public_id, for_s=offered)
    notices.tell(user, "trusted_device_added", days=-(-offered // 86400))


def use(user: User) -> TrustedDevice | None:
    """Let the trust of this browser stand in for the second factor, once: the cookie is replaced, and of many who bring it one is let in."""
    found = find(user)
    if found is None:
        return None
    raw_token, now = crypto.random_token(), clock.now()
    unspent = (TrustedDevice.id == found.id) & (TrustedDevice.token_digest == found.token_digest)
    fresh = {"token_digest": crypto.digest(raw_token), "last_used_at": now, "address": web.context().address or ""}
    if not _changed(update(TrustedDevice).where(unspent).values(**fresh)):
        return None
    _hold(f"{found.public_id}.{raw_token}")
    return found


def look_for_copies(user: User) -> None:
    """End a trust whose cookie came back after it was replaced: two browsers hold it, and one of them stole it (attack 109).

    Called once the password was right. The second tab of a moment ago is no thief; it is merely asked for the second factor.
    """
    latest = clock.now() - timedelta(seconds=AT_ONCE_S)
    for row, token in _brought(user):
        if crypto.same(row.token_digest, crypto.digest(token)) or row.last_used_at > latest:
            continue
        audit.record(audit.Event.TRUSTED_DEVICE_COPIED, subject=user.sub, device=row.public_id)
        if _end(row.public_id, user, "copied", actor=None):
            notices.tell(user, "trusted_device_copied")


def end(user: User, public_id: str, *, actor: str | None, reason: str) -> bool:
    """End one trust of this person. False: they have none of that id."""
    return _end(public_id, user, reason, actor=actor)


def end_all(user: User, *, actor: str | None, reason: str) -> int:
    """End every trust of a person; return how many there were."""
    return sum(_end(row.public_id, user, reason, actor=actor) for row in _rows(TrustedDevice.user_id == user.id))


def prune() -> int:
    """Forget what has expired. Returns how many."""
    gone = db.session.execute(delete(TrustedDevice).where(TrustedDevice.expires_at < clock.now()))
    return int(gone.rowcount)  # type: ignore[attr-defined]


def on_all_sessions_ended(_sender: Any, *, sub: str, cause: str, **_more: Any) -> None:
    """End the trust of somebody whose sessions were all ended, whatever the cause: heard from `sessions.all_ended`."""
    user = users.find_by_sub(sub)
    if user is not None:
        end_all(user, actor=None, reason=cause)


def _is_live(user: User, row: TrustedDevice) -> bool:
    longest = timedelta(seconds=offered_s(user))  # a policy that became shorter counts at once
    ends_at = min(row.expires_at, row.proved_at + longest)
    return row.user_id == user.id and ends_at > clock.now() and crypto.same(row.stamp, _stamp(user))


def _stamp(user: User) -> str:
    """Name the present choice of a password and the authenticators that last and work."""
    lasting = [factor for factor in factors.FACTORS if factor.lasting]
    bound = sorted(one.public_id for factor in lasting for one in factor.authenticators(user) if one.usable)
    return crypto.digest("|".join([password.stamp(user), *bound]))


def _end(public_id: str, user: User, reason: str, *, actor: str | None) -> bool:
    mine = (TrustedDevice.user_id == user.id) & (TrustedDevice.public_id == public_id)
    if not _changed(delete(TrustedDevice).where(mine)):
        return False
    audit.record(audit.Event.TRUSTED_DEVICE_ENDED, subject=user.sub, actor=actor, reason=reason, device=public_id)
    return True


def _changed(statement: Any) -> bool:
    done = db.session.execute(statement.execution_options(synchronize_session=False))
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


def _rows(condition: Any) -> list[TrustedDevice]:
    wanted = select(TrustedDevice).where(condition).order_by(TrustedDevice.id)
    return list(db.session.scalars(wanted, execution_options={"populate_existing": True}).all())


def _brought(user: User) -> list[tuple[TrustedDevice, str]]:
    """Return the trusts of this person that the browser names, each with the token that it brought."""
    entries = dict(entry.split(".", 1) for entry in _entries())
    if not entries:
        return []
    mine = (TrustedDevice.user_id == user.id) & TrustedDevice.public_id.in_(entries)
    return [(row, entries[row.public_id]) for row in _rows(mine)]


def _entries() -> list[str]:
    sent = (web.read_cookie(COOKIE) or "")[:1024]
    return [entry for entry in sent.split("~") if _ENTRY.fullmatch(entry)]


def _hold(entry: str) -> None:
    """Put an entry into the browser's cookie, before those of other people who use it."""
    public_id = entry.partition(".")[0]
    kept = "~".join([entry, *(one for one in _entries() if not one.startswith(f"{public_id}."))][:REMEMBERED])

    @after_this_request
    def answer_with(response: Response) -> Response:
        if response.status_code < 500:  # what was not committed is not handed out
            web.set_cookie(response, COOKIE, kept, max_age_s=365 * 86400)
        return response


def _agent() -> str:
    return (web.context().user_agent or "")[:256]


def _program(user_agent: str) -> str:
    """Reduce a User-Agent to what stays when a browser updates itself."""
    return re.sub(r"[\d._]+", "", user_agent)
