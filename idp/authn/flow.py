"""LoginFlow: what a browser has proved before there is a session. Owns Redis `flow:*`.

A flow belongs to one browser (standards 7.17) and to one demand; several tabs have several flows. Everything that was proved is
kept here and nowhere in a form, so that no step can be skipped or done as somebody else (7.98, 7.99). Each progress from «nobody»
to «somebody» moves the flow to a new id and leaves a blank one under the old: whoever knew the old id sees a sign-in page, and
a person who goes back starts over towards the same goal. A finished flow leaves a note of where it led, for a late click.
"""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from idp import clock, crypto, kv, limits, web
from idp.authn import assurance, left_open, workstation
from idp.authn.assurance import Demand
from idp.record import Record
from idp.sessions import SsoSession

IDLE_S = 600
ABSOLUTE_S = 1800
FRESH_S = 300  # what a person proved this recently need not be proved again for an errand
PROOF_S = 60  # nor before a new factor or new recovery codes; beyond, an unattended screen would be enough (ASVS 6.2.3)

_SAVE = kv.Script(
    """
    local kept = redis.call('GET', KEYS[1])
    if not kept or cjson.decode(kept).finished then return 0 end
    redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
    return 1
    """
)


class LoginFlow(Record):
    """One attempt to satisfy one demand in one browser. Immutable; `save` writes a changed copy."""

    id: str
    browser_digest: str
    demand: Demand
    started_at: datetime
    sub: str | None = None
    stamp: str | None = None  # the password's stamp when it was accepted; another one at the end starts over
    passkey_id: str | None = None  # the passkey that came in place of a password; without it at the end, likewise
    methods: tuple[
        str, ...
    ] = ()  # RFC 8176 values of what was proved, without "mfa"; a passkey alone may do without "pwd"
    factors: tuple[str, ...] = ()  # names of the factors that were proved in this flow, for the audit
    used: tuple[str, ...] = ()  # the authenticators that were used, as "factor:public id"
    may_bind: bool = False  # a recovery lets the person bind a second factor although they had one before
    auth_time: datetime | None = None  # when it was proved, if in an earlier flow
    sid: str | None = None  # the session that it goes on from, which has to live on
    since: str = ""  # the beginning under which it was proved (proofs.py); under another one it starts over
    errands: tuple[str, ...] = ()  # what of demand.then is done
    pending_id: str | None = None  # the authenticator that is being enrolled
    sealed_codes: str | None = None  # recovery codes that wait to be written down
    notice: str | None = None
    finished: bool = False

    @property
    def is_fresh(self) -> bool:
        """Whether the person proved something in this flow, rather than in the session that it continues."""
        return self.auth_time is None


def begin(demand: Demand, *, notice: str | None = None) -> LoginFlow:
    """Start a flow for this browser, with nothing proved yet. Raises TooMany for too many in a short time (attack 141)."""
    limits.visit("login_flow")
    now = clock.now()
    flow = LoginFlow(
        id=crypto.random_token(),
        browser_digest=crypto.digest(web.browser_id()),
        demand=demand if demand.asked_at else replace(demand, asked_at=now),
        started_at=now,
        notice=notice,
    )
    _write(flow)
    left_open.keep(flow.id, flow.demand)
    return flow


def proved(flow: LoginFlow, factor: str, amr: tuple[str, ...], authenticator: str = "") -> LoginFlow:
    """Return the flow with one more factor proved: what it is worth (RFC 8176), its name, and the public id of what was used."""
    used = (*flow.used, f"{factor}:{authenticator}") if authenticator else flow.used
    return replace(flow, methods=(*flow.methods, *amr), factors=(*flow.factors, factor), used=used)


def continued(flow: LoginFlow, session: SsoSession, *, stamp: str, since: str) -> LoginFlow:
    """Let a flow go on from what a session proves: a step up asks for the second factor only."""
    methods = tuple(method for method in session.amr if method != "mfa")
    return replace(
        flow, sub=session.sub, stamp=stamp, since=since, methods=methods, auth_time=session.auth_time, sid=session.sid
    )


def continues(session: SsoSession | None, demand: Demand, *, steps_up: bool) -> bool:
    """Say whether a session may stand in for the first steps of a flow.

    Never when the person was asked to prove or to choose who they are; otherwise when they proved it minutes ago, or when
    only a further factor that they have is missing (`steps_up`). An old session alone never leads to an enrolment (7.104).
    """
    if session is None or demand.prompt & {"login", "select_account"}:
        return False
    age_s = assurance.age_s(session)
    if demand.max_age_s is not None and age_s > demand.max_age_s:
        return False
    return age_s <= FRESH_S or (not demand.then and steps_up)


def find(flow_id: str) -> LoginFlow | None:
    """Return a flow of this browser, or None: unknown, too old, or somebody else's (7.17)."""
    if not flow_id or len(flow_id) > 64:
        return None
    kept = kv.call("GET", _key(flow_id))
    flow = _load(str(kept)) if kept else None
    if flow is None or not crypto.same(flow.browser_digest, crypto.digest(web.browser_id())):
        return None
    too_old = clock.now() - flow.started_at > timedelta(seconds=ABSOLUTE_S)
    return None if too_old else flow


def save(flow: LoginFlow) -> bool:
    """Write a changed flow. False when it has expired or finished meanwhile: it is never revived."""
    return bool(_SAVE([_key(flow.id)], [_dump(flow), _idle_s()]))


def advance(flow: LoginFlow) -> LoginFlow:
    """Move a flow that has learnt who the person is to a new id; the old id starts over (7.73)."""
    moved = replace(flow, id=crypto.random_token(), notice=None)
    _write(moved)
    save(blank(flow))
    left_open.move(flow.id, moved.id)
    return moved


def blank(flow: LoginFlow, *, notice: str | None = None) -> LoginFlow:
    """Return the flow as it was before anything was proved."""
    return LoginFlow(
        id=flow.id,
        browser_digest=flow.browser_digest,
        demand=flow.demand,
        started_at=flow.started_at,
        notice=notice,
    )


def take(flow: LoginFlow) -> bool:
    """Finish a flow: of many who try, one is told True."""
    left_open.forget(flow.id)
    return save(replace(blank(flow), finished=True))


def seal_codes(flow: LoginFlow, raw_codes: list[str]) -> LoginFlow:
    """Keep new recovery codes readable until the person says that they wrote them down."""
    sealed = crypto.seal("\n".join(raw_codes).encode(), aad=f"flow-codes:{flow.sub}")
    return replace(flow, sealed_codes=base64.b64encode(sealed).decode())


def open_codes(flow: LoginFlow) -> list[str]:
    """Return the recovery codes that wait in this flow."""
    sealed = base64.b64decode(flow.sealed_codes or "")
    return crypto.unseal(sealed, aad=f"flow-codes:{flow.sub}").decode().split("\n")


def _write(flow: LoginFlow) -> None:
    kv.call("SET", _key(flow.id), _dump(flow), "EX", _idle_s())


def _idle_s() -> int:
    """Where people come and go, what one of them left open is over sooner."""
    return workstation.idle_s(IDLE_S)


def _key(flow_id: str) -> str:
    return kv.key("flow", crypto.digest(flow_id))


def _dump(flow: LoginFlow) -> str:
    return json.dumps({**vars(flow), "demand": vars(flow.demand)}, default=_plain)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else sorted(value)


def _load(text: str) -> LoginFlow:
    kept: dict[str, Any] = json.loads(text)
    asked: dict[str, Any] = kept.pop("demand")
    asked |= {"prompt": frozenset(asked["prompt"]), "asked_at": _moment(asked["asked_at"])}
    demand = Demand(**{name: _tuple(value) for name, value in asked.items()})
    kept |= {"started_at": _moment(kept["started_at"]), "auth_time": _moment(kept["auth_time"])}
    return LoginFlow(demand=demand, **{name: _tuple(value) for name, value in kept.items()})


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
