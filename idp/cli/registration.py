"""`idp client registration-token` — let applications register themselves (RFC 7591)."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import click

from idp import clock
from idp.cli.base import State, actor, confirm, takes_state, yes_option
from idp.cli.failures import Failure, Group
from idp.cli.output import facts, plain, table
from idp.clients import registration_tokens
from idp.oauth import resources

_COLUMNS = ("id", "label", "uses_left", "expires_at", "scopes")
_UNITS = {"m": 60, "h": 3600, "d": 86400}
_KEEP = "Pass it on now: nobody can read it again. It goes into the Authorization header of POST /register, after “Bearer ”."


@click.group("registration-token", cls=Group)
def group() -> None:
    """Tokens with which applications register themselves."""


@group.command("create")
@click.option("--uses", type=click.IntRange(1, 10_000), default=1, show_default=True, help="How many registrations.")
@click.option("--expires", default="24h", show_default=True, help="How long it works: 30m, 24h, 7d.")
@click.option("--label", default="", help="Whom it is for; stands in the audit of every registration.")
@click.option(
    "--scope", default="openid profile email offline_access", show_default=True, help="What may be registered."
)
@takes_state
def create(state: State, uses: int, expires: str, label: str, scope: str) -> None:
    """Make a token and show it once."""
    with state.work():
        scopes = _known(scope)
        token, raw_token = registration_tokens.create(
            label=label or actor(), scopes=scopes, uses=uses, expires_at=clock.now() + _span(expires), actor=actor()
        )
        answer: dict[str, Any] = plain(token) | {"token": raw_token}
    state.show(answer, lambda: _introduce(answer))


@group.command("list")
@takes_state
def list_(state: State) -> None:
    """List the tokens; never the tokens themselves."""
    with state.reading():
        rows = [plain(token) for token in registration_tokens.search()]
    state.show({"registration_tokens": rows}, lambda: table(rows, _COLUMNS, empty="There are none."))


@group.command("revoke")
@click.argument("token_id")
@yes_option
@takes_state
def revoke(state: State, token_id: str, yes: bool) -> None:
    """Withdraw a token; applications that it registered stay."""
    confirm(f"Withdraw the registration token {token_id}?", yes=yes)
    with state.work():
        registration_tokens.revoke(token_id, actor=actor())
    state.show({"id": token_id, "revoked": True}, lambda: click.echo(f"{token_id} is withdrawn."))


def _introduce(answer: dict[str, Any]) -> None:
    facts(answer)
    click.secho(_KEEP, fg="yellow", err=True)


def _span(text: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,4})([mhd])", text)
    if not found:
        raise Failure("--expires is a number and m, h or d: 30m, 24h, 7d.")
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]])


def _known(scope: str) -> tuple[str, ...]:
    scopes = tuple(dict.fromkeys(scope.split()))
    foreign = [one for one in scopes if resources.owner(one) is None]
    if foreign or not scopes:
        raise Failure(
            f"Not scopes of this server: {' '.join(foreign) or '(none given)'}. Known: {' '.join(resources.scopes_supported())}."
        )
    return scopes
