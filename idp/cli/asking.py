"""`idp user requests`, `idp user approve`, `idp user deny`: strangers who ask for an account."""

from __future__ import annotations

import click

from idp.cli.base import State, actor, takes_state
from idp.cli.output import plain, table
from idp.joining import requests
from idp.joining.requests import AccountRequest

_COLUMNS = ("public_id", "address", "display_name", "note", "created_at")


@click.command("requests")
@takes_state
def list_(state: State) -> None:
    """List who proved an address and waits for a decision."""
    with state.reading():
        rows = [_as_dict(one) for one in requests.waiting()]
    state.show({"requests": rows}, lambda: table(rows, _COLUMNS, empty="Nobody is waiting."))


@click.command("approve")
@click.argument("request")
@takes_state
def approve(state: State, request: str) -> None:
    """Agree to a REQUEST: the person gets an account without a password, and an invitation to set one."""
    with state.work():
        user = requests.approve(request, actor=actor())
        answer = {"sub": user.sub, "username": user.username}
    state.show(answer, lambda: click.echo(f"{answer['username']} is invited."))


@click.command("deny")
@click.argument("request")
@click.option("--reason", required=True, help="The person reads it in a mail, and it is kept in the record.")
@takes_state
def deny(state: State, request: str, reason: str) -> None:
    """Refuse a REQUEST, and tell its sender why."""
    with state.work():
        answer = _as_dict(requests.deny(request, reason=reason, actor=actor()))
    state.show(answer, lambda: click.echo(f"{answer['address']} was told."))


COMMANDS = (list_, approve, deny)


def _as_dict(one: AccountRequest) -> dict[str, object]:
    names = ("public_id", "address", "display_name", "note", "status", "reason", "created_at")
    return dict(plain({name: getattr(one, name) for name in names}))
