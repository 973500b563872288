"""`idp user invite`, `idp user invitations`, `idp user revoke-invitation`: people who come in by a link."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from idp import users
from idp.cli.base import State, actor, takes_state
from idp.cli.failures import Failure
from idp.cli.finding import find
from idp.cli.output import facts, plain, table
from idp.db import db
from idp.errors import IdpError
from idp.joining import invitations
from idp.joining.invitations import Invitation
from idp.users import User

BATCH = 100


@click.command("invite")
@click.argument("username")
@click.option("--client", "client_id", help="The application that they go on to. Default: that of the last invitation.")
@takes_state
def invite(state: State, username: str, client_id: str | None) -> None:
    """Mail a person without a password a link to choose one; a link that was sent before is dead then."""
    with state.work():
        answer = send(find(username), client_id)
    state.show(answer, lambda: facts(answer))


@click.command("invitations")
@takes_state
def list_(state: State) -> None:
    """List who was invited and has not come yet."""
    with state.reading():
        rows = [_as_dict(user, one) for user, one in invitations.waiting()]
    empty = "Nobody is being waited for. `idp user create NAME --invite` invites somebody."
    state.show(
        {"invitations": rows},
        lambda: table(rows, ("username", "address", "state", "sent_at", "expires_at"), empty=empty),
    )


@click.command("revoke-invitation")
@click.argument("username")
@takes_state
def revoke(state: State, username: str) -> None:
    """Take an invitation back: its link is dead at once."""
    with state.work():
        user = find(username)
        if not invitations.revoke(user, actor=actor()):
            raise Failure(f"{username} has no invitation that could be taken back.")
        answer = {"sub": user.sub, "username": user.username, "state": invitations.REVOKED}
    state.show(answer, lambda: click.echo(f"The invitation of {answer['username']} is dead."))


COMMANDS = (invite, list_, revoke)


def send(user: User, client_id: str | None = None) -> dict[str, Any]:
    """Invite a person in the caller's transaction, and return what there is to know. Raises Conflict, BadInput."""
    return _as_dict(user, invitations.invite(user, actor=actor(), return_to_client=client_id))


def send_to_all(usernames: Sequence[str]) -> dict[str, str]:
    """Invite many, committing now and then; returns what became of each: "invited", or why not."""
    told: dict[str, str] = {}
    for place, username in enumerate(usernames, start=1):
        told[username] = _outcome(username)
        if place % BATCH == 0:
            db.session.commit()
    db.session.commit()
    return told


def sum_up(told: dict[str, str]) -> None:
    """Print how many were invited, and why some were not."""
    for username, outcome in told.items():
        if outcome != "invited":
            click.echo(f"{username}: not invited. {outcome}")
    click.echo(f"{sum(outcome == 'invited' for outcome in told.values())} invited.")


def _outcome(username: str) -> str:
    user = users.find_by_login(username)
    if user is None:
        return "There is nobody of that name any more."
    try:
        invitations.invite(user, actor=actor())
    except IdpError as error:
        return error.public
    return "invited"


def _as_dict(user: User, one: Invitation) -> dict[str, Any]:
    address = next((email.address for email in user.emails if email.id == one.email_id), None)
    shown = {
        "sub": user.sub,
        "username": user.username,
        "address": address,
        "state": one.state,
        "client_id": one.client_id,
        "sent_at": one.sent_at,
        "expires_at": one.expires_at,
    }
    return dict(plain(shown))
