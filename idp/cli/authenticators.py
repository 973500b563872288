"""`idp user factors`, `idp user remove-factor` — what people have bound, and taking it away."""

from __future__ import annotations

from typing import Any

import click

from idp import sessions
from idp.authn import factors, trusted
from idp.authn.factors import Authenticator
from idp.cli.base import State, actor, confirm, takes_state, yes_option
from idp.cli.failures import Failure
from idp.cli.finding import find
from idp.cli.output import plain, table
from idp.users import User

_COLUMNS = ("id", "factor", "label", "detail", "created_at", "last_used_at", "state")


@click.command("factors")
@click.argument("username")
@takes_state
def list_(state: State, username: str) -> None:
    """List what a person has bound: passkeys, authenticator apps, recovery codes, browsers that skip the second step."""
    with state.reading():
        user = find(username)
        rows = [_as_dict(one) for one in factors.authenticators(user)]
        browsers = [{"id": row.public_id, "expires_at": row.expires_at} for row in trusted.of(user)]
        answer = {"sub": user.sub, "factors": rows, "trusted_browsers": plain(browsers)}

    def human() -> None:
        table(rows, _COLUMNS, empty=f"{username} has bound nothing; they enrol at the next sign-in that needs it.")
        if browsers:
            click.echo(f"{len(browsers)} trusted browsers skip the second step.")

    state.show(answer, human)


@click.command("remove-factor")
@click.argument("username")
@click.argument("ids", metavar="ID...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Everything: the person enrols anew at the next sign-in.")
@click.option("--reason", required=True, help="For the record: why, and how you know who asked.")
@yes_option
@takes_state
def remove(state: State, username: str, ids: tuple[str, ...], every: bool, reason: str, yes: bool) -> None:
    """Take authenticators from a person and end their sessions. They hear of it at every address.

    Even the last one goes: the password alone then enrols a new one. Prefer `idp recovery`, which does not trust one voice.
    """
    if bool(ids) == every:
        raise Failure(f"Name what to remove, or say --all. `idp user factors {username}` lists the ids.")
    confirm(f"Remove {'every second step' if every else f'{len(ids)} of the second steps'} of {username}?", yes=yes)
    with state.work():
        user = find(username)
        removed = _remove(user, ids, reason=reason)
        sessions.end_all(user.sub, cause="factor_removed")
        answer = {"sub": user.sub, "username": user.username, "removed": removed}
    state.show(answer, lambda: click.echo(f"{removed} removed; all sessions of {answer['username']} have ended."))


def _remove(user: User, ids: tuple[str, ...], *, reason: str) -> int:
    """Remove these, or everything when none is named. Raises Failure for an id that the person does not have: nothing is removed."""
    if not ids:
        return factors.remove_all(user, actor=actor(), reason=reason)
    for public_id in ids:
        if not factors.remove(user, public_id, actor=actor(), reason=reason, by_force=True):
            raise Failure(f"{user.username} has nothing with the id {public_id}. `idp user factors` lists the ids.")
    return len(ids)


def _as_dict(one: Authenticator) -> dict[str, Any]:
    shown = {
        "id": one.public_id,
        "factor": one.factor,
        "label": one.label,
        "detail": one.detail,
        "created_at": one.created_at,
        "last_used_at": one.last_used_at,
        "state": "usable" if one.usable else "switched off",
    }
    return dict(plain(shown))


COMMANDS = (list_, remove)
