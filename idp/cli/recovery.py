"""`idp recovery` — the help desk's cases, for operators without the pages. The same rules; an operator counts as an administrator."""

from __future__ import annotations

from typing import Any

import click

from idp import users
from idp.authn import recovery_case, recovery_desk
from idp.authn.recovery_case import CLOSED, LIVE, OPEN, PROOFS, RecoveryCase
from idp.cli.base import State, actor, takes_state
from idp.cli.failures import Failure, Group
from idp.cli.output import facts, table

_COLUMNS = ("case", "username", "stands", "opened_by", "opened_at", "reason")
_SHELVES = {"live": LIVE, "waiting": (OPEN,), "closed": CLOSED, "all": ()}
_READ_OUT = (
    "Give the code to the person now. It works once and for minutes, together with their password; never ask for that."
)


@click.group("recovery", cls=Group)
def group() -> None:
    """Let people back in who lost their second step: open, approve, issue a temporary code."""


@group.command("list")
@click.option("--show", type=click.Choice(sorted(_SHELVES)), default="live", show_default=True, help="Which cases.")
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="How many.")
@takes_state
def list_(state: State, show: str, limit: int) -> None:
    """List cases, the newest first."""
    with state.reading():
        rows = [_as_dict(case) for case in recovery_case.search(states=_SHELVES[show], limit=limit).items]
    state.show({"cases": rows}, lambda: table(rows, _COLUMNS, empty="There is no such case."))


@group.command("show")
@click.argument("case_id")
@takes_state
def show(state: State, case_id: str) -> None:
    """Show one case."""
    with state.reading():
        answer = _as_dict(recovery_case.get(case_id))
    state.show(answer, lambda: facts(answer))


@group.command("open")
@click.argument("username")
@click.option("--reason", required=True, help="What happened, for the record.")
@click.option("--proof", type=click.Choice(sorted(PROOFS)), required=True, help="How you made sure who it is.")
@click.option("--note", "proof_note", required=True, help="Which document, which number, who vouched.")
@click.option("--keep-factors", is_flag=True, help="What they have is only out of reach: keep it beside the new one.")
@takes_state
def open_(state: State, username: str, keep_factors: bool, **given: str) -> None:
    """Open a case for a person who lost their second step. They are told by mail and can stop it."""
    with state.work():
        user = users.find_by_sub(username) or users.find_by_login(username)
        if user is None:
            raise Failure(f"There is nobody called {username}. `idp user list` shows who is there.")
        case = recovery_desk.open_case(user, by=_desk(), remove_factors=not keep_factors, **given)
        answer = _as_dict(case)
    state.show(answer, lambda: facts(answer))


@group.command("approve")
@click.argument("case_id")
@takes_state
def approve(state: State, case_id: str) -> None:
    """Agree to a case that somebody else opened; the cool-off begins."""
    with state.work():
        case = recovery_case.get(case_id)
        recovery_desk.approve(case, by=_desk())
        answer = _as_dict(case)
    state.show(answer, lambda: facts(answer))


@group.command("deny")
@click.argument("case_id")
@click.option("--reason", required=True, help="Why, for the record.")
@takes_state
def deny(state: State, case_id: str, reason: str) -> None:
    """Refuse a case that waits for a second person."""
    with state.work():
        case = recovery_case.get(case_id)
        recovery_desk.deny(case, by=_desk(), reason=reason)
        answer = _as_dict(case)
    state.show(answer, lambda: facts(answer))


@group.command("stop")
@click.argument("case_id")
@click.option("--reason", required=True, help="Why, for the record.")
@takes_state
def stop(state: State, case_id: str, reason: str) -> None:
    """Stop a case, however far it is; a code that is out dies."""
    with state.work():
        case = recovery_case.get(case_id)
        recovery_desk.stop(case, by=_desk(), reason=reason)
        answer = _as_dict(case)
    state.show(answer, lambda: facts(answer))


@group.command("issue")
@click.argument("case_id")
@takes_state
def issue(state: State, case_id: str) -> None:
    """Make the temporary code of a case whose cool-off is over. Printed once; an earlier code of the case is dead."""
    with state.work():
        case = recovery_case.get(case_id)
        raw_code = recovery_desk.issue(case, by=_desk())
        answer = {**_as_dict(case), "temporary_code": raw_code, "code_expires_at": case.code_expires_at}

    def human() -> None:
        facts(answer)
        click.secho(_READ_OUT, fg="yellow", err=True)

    state.show(answer, human)


def _desk() -> recovery_desk.Desk:
    return recovery_desk.Desk(actor(), is_administrator=True)


def _as_dict(case: RecoveryCase) -> dict[str, Any]:
    return {
        "case": case.public_id,
        "sub": case.user.sub,
        "username": case.user.username,
        "stands": case.stands,
        "reason": case.reason,
        "proof": case.proof,
        "proof_note": case.proof_note,
        "remove_factors": case.remove_factors,
        "four_eyes": case.four_eyes,
        "opened_by": case.opened_by,
        "opened_at": case.opened_at,
        "approved_by": case.approved_by,
        "approved_at": case.approved_at,
        "ready_at": case.ready_at,
        "issued_by": case.issued_by,
        "issued_at": case.issued_at,
        "closed_by": case.closed_by,
        "closed_at": case.closed_at,
        "closed_reason": case.closed_reason,
        "expires_at": case.expires_at,
    }
