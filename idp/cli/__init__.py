"""cli — `idp`: every command is one call into a room.

base.py           configuration, one transaction a command, tables and JSON, errors in one line
serving.py        serve, demo          database.py   db …           configuration.py  config …
people.py         user …               relying.py    client …       signing.py        keys …
trail.py          audit …              health.py     doctor
"""

from __future__ import annotations

import os
from pathlib import Path

import click

from idp import __version__
from idp.cli import configuration, database, health, people, relying, serving, signing, trail
from idp.cli.base import Group, State

_EPILOG = """\b
Begin:     idp demo
Install:   idp config example > config.toml, then put into it what
           idp config secrets prints; idp db upgrade; idp doctor; idp serve
Complete:  eval "$(_IDP_COMPLETE=bash_source idp)"  (or zsh_source, fish_source)
"""


@click.group(
    "idp", cls=Group, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
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


for command in (
    serving.serve,
    serving.demo,
    health.doctor,
    configuration.group,
    database.group,
    people.group,
    relying.group,
    signing.group,
    trail.group,
):
    main.add_command(command)
