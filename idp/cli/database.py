"""`idp db` — the schema."""

from __future__ import annotations

import click

from idp import db, keys
from idp.cli.base import State, confirm, takes_state, yes_option
from idp.cli.failures import Group


@click.group("db", cls=Group)
def group() -> None:
    """Create and migrate the database."""


@group.command("upgrade")
@click.argument("revision", default="head")
@takes_state
def upgrade(state: State, revision: str) -> None:
    """Bring the schema to REVISION (the newest by default) and see to it that there are signing keys. Safe to repeat."""
    with state.reading():
        before = db.current()
        db.upgrade(revision)
        after = db.current()
        is_newest = after == db.head()
    if is_newest:
        with state.work():
            keys.ensure()
    done = f"The database went from {before or 'nothing'} to {after}." if before != after else f"Already at {after}."
    state.show({"before": before, "after": after}, lambda: click.echo(done))


@group.command("current")
@takes_state
def current(state: State) -> None:
    """Show the revision of the schema, and the newest one that this version knows. Exit 1 when they differ."""
    with state.reading():
        at, newest = db.current(), db.head()
    told = "up to date" if at == newest else f"the newest is {newest}; run `idp db upgrade`"
    state.show(
        {"current": at, "head": newest, "up_to_date": at == newest},
        lambda: click.echo(f"{at or 'empty'} ({told})"),
    )
    if at != newest:
        click.get_current_context().exit(1)


@group.command("downgrade")
@click.argument("revision")
@yes_option
@takes_state
def downgrade(state: State, revision: str, yes: bool) -> None:
    """Take the schema back to REVISION ("base" for nothing). Data of the removed tables is lost."""
    confirm(f"Take the database back to {revision}? What the removed tables hold is lost.", yes=yes)
    with state.reading():
        before = db.current()
        db.downgrade(revision)
        after = db.current()
    state.show(
        {"before": before, "after": after},
        lambda: click.echo(f"The database went from {before} to {after or 'nothing'}."),
    )
