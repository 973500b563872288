"""`idp keys` — the keys that sign tokens."""

from __future__ import annotations

from typing import Any

import click

from idp import keys
from idp.cli.base import State, actor, confirm, takes_state, yes_option
from idp.cli.failures import Group
from idp.cli.output import plain, table
from idp.config import SIGNING_ALGS

_COLUMNS = ("kid", "alg", "status", "created_at", "activated_at", "retires_at")


@click.group("keys", cls=Group)
def group() -> None:
    """List, rotate and withdraw signing keys."""


@group.command("list")
@takes_state
def list_(state: State) -> None:
    """List all signing keys: pending (published, not yet used), active, retiring (still published), retired."""
    with state.reading():
        rows = [_as_dict(key) for key in keys.search()]
    state.show(
        {"keys": rows},
        lambda: table(rows, _COLUMNS, empty="There are no keys yet; `idp serve` makes them at its start."),
    )


@group.command("rotate")
@click.option(
    "--alg", type=click.Choice(SIGNING_ALGS), help="Only the key of this algorithm; all of the settings' by default."
)
@yes_option
@takes_state
def rotate(state: State, alg: str | None, yes: bool) -> None:
    """Replace the active key now; the old one stays published for the overlap, so that no token becomes invalid."""
    confirm(f"Replace the active signing key{f' for {alg}' if alg else 's'} now?", yes=yes)
    with state.work():
        keys.rotate(alg, actor=actor())
        rows = [_as_dict(key) for key in keys.search() if alg in (None, key.alg)]
    state.show({"keys": rows}, lambda: table(rows, _COLUMNS, empty="There are no keys."))


@group.command("withdraw")
@click.argument("kid")
@yes_option
@takes_state
def withdraw(state: State, kid: str, yes: bool) -> None:
    """Retire a compromised key now, without overlap. Tokens that it signed stop working at once."""
    confirm(f"Withdraw {kid}? Every token that it signed stops working at once.", yes=yes)
    with state.work():
        keys.withdraw(kid, actor=actor())
        rows = [_as_dict(key) for key in keys.search() if key.status != "retired"]
    state.show({"keys": rows}, lambda: table(rows, _COLUMNS, empty="There are no keys."))


def _as_dict(key: keys.KeyInfo) -> dict[str, Any]:
    return dict(plain(key))
