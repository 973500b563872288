"""`idp config` — the settings: check them, show them, make new ones."""

from __future__ import annotations

import base64
import secrets

import click

from idp import config
from idp.cli.base import State, takes_state
from idp.cli.failures import Group
from idp.cli.output import facts, plain


@click.group("config", cls=Group)
def group() -> None:
    """Check and show the settings; make secrets."""


@group.command("check")
@takes_state
def check(state: State) -> None:
    """Say whether the settings can be used. Exit 2 and one line with the remedy when not."""
    settings = state.settings()
    where = str(state.config_path() or "the environment")
    state.show(
        {"ok": True, "source": where, "mode": settings.mode, "issuer": settings.server.issuer},
        lambda: click.echo(f"{where} is fine: {settings.mode}, {settings.server.issuer}"),
    )


@group.command("show")
@takes_state
def show(state: State) -> None:
    """Show every setting as it is in effect, secrets masked."""
    shown = plain(config.masked(state.settings()))

    def human() -> None:
        for section, values in shown.items():
            if isinstance(values, dict):
                click.echo(click.style(f"[{section}]", bold=True))
                facts(values, literal=True)
                click.echo()
            elif section in ("resources", "policies", "trusted_issuers"):
                for table in values:
                    click.echo(click.style(f"[[{section}]]", bold=True))
                    facts(table, literal=True)
                    click.echo()
            else:
                facts({section: values}, literal=True)
                click.echo()

    state.show(shown, human)


@group.command("example")
def example() -> None:
    """Print a configuration file with every setting explained: `idp config example > config.toml`."""
    click.echo(config.example(), nl=False)


@group.command("secrets")
@takes_state
def fresh_secrets(state: State) -> None:
    """Print fresh keys for the [secrets] section. Keep them apart from backups of the database."""
    identifier = secrets.token_hex(3)
    made = {
        "sealing_keys": [f"s-{identifier}:{_key()}"],
        "peppers": [f"p-{identifier}:{_key()}"],
    }

    def human() -> None:
        click.echo("[secrets]")
        for name, entries in made.items():
            click.echo(f'{name} = ["{entries[0]}"]')

    state.show(made, human)


def _key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()
