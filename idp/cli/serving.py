"""`idp serve`, `idp demo` — the two ways to run."""

from __future__ import annotations

import click

from idp.cli.base import State, takes_state


@click.command("serve")
@takes_state
def serve(state: State) -> None:
    """Serve until Ctrl-C or SIGTERM; requests in flight finish first.

    Refuses to start when the database lacks a migration, the configuration is unsafe, or the port is taken.
    """
    from idp import server

    server.serve(state.settings())
