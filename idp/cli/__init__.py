"""cli — `idp`: every command is one call into a room.

base.py           configuration, who acts, one transaction a command
output.py         tables, facts, JSON          failures.py       one clear line; groups that load late
serving.py        serve, demo                  database.py       db …
people.py authenticators.py    user …          configuration.py  config …
recovery.py       recovery …
relying.py        client …                     signing.py        keys …
trail.py          audit …                      health.py         doctor
policies.py       policy …, passwords …, report …
"""

from __future__ import annotations

import os
from pathlib import Path

import click

from idp import __version__
from idp.cli.base import State
from idp.cli.failures import LateGroup

COMMANDS = {
    "demo": ("idp.cli.serving:demo", "Run everything here, with fictional people."),
    "serve": ("idp.cli.serving:serve", "Serve until Ctrl-C or SIGTERM."),
    "doctor": ("idp.cli.health:doctor", "Find what is wrong here, and how to mend it."),
    "config": ("idp.cli.configuration:group", "Check and show the settings; make secrets."),
    "db": ("idp.cli.database:group", "Create and migrate the database."),
    "user": ("idp.cli.people:group", "Create, import and manage people."),
    "recovery": ("idp.cli.recovery:group", "Let people back in who lost their second step."),
    "client": ("idp.cli.relying:group", "Register and manage relying applications."),
    "keys": ("idp.cli.signing:group", "List, rotate and withdraw signing keys."),
    "policy": ("idp.cli.policies:group", "Show what people owe by their roles, and where it departs from NIST."),
    "passwords": ("idp.cli.policies:passwords", "The corpus of breached passwords."),
    "report": ("idp.cli.policies:reports", "Who falls short of what they owe."),
    "audit": ("idp.cli.trail:group", "Read, verify and export the audit trail."),
}
_EPILOG = """\b
Begin:     idp demo
Install:   idp config example > config.toml, then put into it what
           idp config secrets prints; idp db upgrade; idp doctor; idp serve
Complete:  eval "$(_IDP_COMPLETE=bash_source idp)"  (or zsh_source, fish_source)
"""


@click.group(
    "idp",
    cls=LateGroup,
    late=COMMANDS,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.option("--config", "-c", "config_file", envvar="IDP_CONFIG", type=click.Path(dir_okay=False, path_type=Path),
              help="Configuration file. Default: $IDP_CONFIG, ./config.toml, or the demo's var/config.toml.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for programs.")
@click.option("--debug", is_flag=True, envvar="IDP_DEBUG", help="Show tracebacks and log more.")
@click.version_option(__version__, "--version", "-V", prog_name="idp")
@click.pass_context
def main(ctx: click.Context, config_file: Path | None, as_json: bool, debug: bool) -> None:
    """An identity provider for healthcare: sign in once, trust kept apart, every login provable."""
    ctx.obj = State(config_file, as_json, debug)
    if os.environ.get("NO_COLOR"):
        ctx.color = False
