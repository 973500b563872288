"""The command line explains itself."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from idp import __version__
from idp.cli import main

EXPECTED = {
    "serve", "demo", "doctor",
    "db upgrade", "db current", "db downgrade",
    "user create", "user list", "user show", "user disable", "user enable", "user import", "user password",
    "client create", "client list", "client show", "client rotate-secret", "client delete",
    "keys list", "keys rotate",
    "audit tail", "audit verify", "audit export", "audit seal", "audit public-keys",
    "config check", "config show", "config example", "config secrets",
}  # fmt: skip


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from commands(inner, (*path, name))


TREE = {" ".join(path): command for path, command in commands(main)}


def test_every_command_that_was_promised_is_there() -> None:
    assert {name for name, command in TREE.items() if not isinstance(command, click.Group)} >= EXPECTED


@pytest.mark.parametrize("name", sorted(TREE))
def test_every_command_and_option_has_help(name: str) -> None:
    result = CliRunner().invoke(main, [*name.split(), "--help"])
    assert result.exit_code == 0
    assert (TREE[name].help or "").strip()
    assert max(map(len, result.output.splitlines())) <= 110
    silent = [p.name for p in TREE[name].params if isinstance(p, click.Option) and not (p.help or "").strip()]
    assert silent == []


@pytest.mark.parametrize("name", sorted(EXPECTED - {"serve", "demo", "config example", "audit public-keys"}))
def test_every_command_answers_json(name: str) -> None:
    assert any("--json" in parameter.opts for parameter in TREE[name].params)


def test_version() -> None:
    assert __version__ in CliRunner().invoke(main, ["--version"]).output


def test_help_tells_how_to_begin_and_how_to_complete() -> None:
    shown = CliRunner().invoke(main, ["--help"]).output
    for part in ("idp demo", "idp config example > config.toml", "_IDP_COMPLETE=bash_source"):
        assert part in shown
