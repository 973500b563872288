"""`idp serve`, `idp demo` — the two ways to run."""

from __future__ import annotations

import gc
from pathlib import Path

import click

from idp.cli.base import State, takes_state


@click.command("serve")
@takes_state
def serve(state: State) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Requests in flight finish first. Refuses to start when the database lacks a migration, the configuration is unsafe, or the port is taken.
    """
    gc.disable()  # until all is loaded, which makes no garbage; the server enables it
    from idp import tally

    settings = state.settings()
    with tally.shared():
        from idp import server

        server.serve(settings)


@click.command("demo")
@click.option("--var", type=click.Path(file_okay=False, path_type=Path), default=Path("var"), show_default=True,
              envvar="IDP_DEMO_VAR", help="Directory for everything that the demo keeps.")  # fmt: skip
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, envvar="IDP_DEMO_PORT",
              help="Port of the identity provider.")  # fmt: skip
@click.option("--claims-port", type=click.IntRange(1, 65535), default=8001, show_default=True,
              envvar="IDP_DEMO_CLAIMS_PORT", help="Port of the claims service.")  # fmt: skip
@click.option("--patients-port", type=click.IntRange(1, 65535), default=8002, show_default=True,
              envvar="IDP_DEMO_PATIENTS_PORT", help="Port of the patient service.")  # fmt: skip
@click.option("--reset", is_flag=True, help="Forget everything of earlier demos first.")
@click.pass_context
def demo(ctx: click.Context, var: Path, port: int, claims_port: int, patients_port: int, reset: bool) -> None:
    """Run everything here, with fictional people.

    The provider on http://localhost:8000, a claims service and a patient service beside it. Nothing to install first, and nothing
    is left running after Ctrl-C.
    """
    from idp.demo import runner

    ctx.exit(runner.main(var, port=port, claims_port=claims_port, patients_port=patients_port, reset=reset))
