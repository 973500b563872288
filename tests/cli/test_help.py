"""The command line explains itself."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from idp import __version__
from idp.cli import COMMANDS, main

EXPECTED = {
    "serve", "demo", "doctor",
    "db upgrade", "db current", "db downgrade",
    "user create", "user list", "user show", "user disable", "user enable", "user import", "user password",
    "client create", "client list", "client show", "client rotate-secret", "client delete",
    "keys list", "keys rotate", "keys withdraw",
    "recovery list", "recovery show", "recovery open", "recovery approve", "recovery deny", "recovery stop", "recovery issue",
    "audit tail", "audit verify", "audit export", "audit seal", "audit public-keys",
    "policy show", "policy check", "report passwords", "passwords corpus build",
    "config check", "config show", "config example", "config secrets",
}  # fmt: skip


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        ctx = click.Context(command)
        for name in command.list_commands(ctx):
            inner = command.get_command(ctx, name)
            assert inner is not None
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


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_first_page_says_what_the_command_itself_says(name: str) -> None:
    assert (
        (TREE[name].help or "")
        .split("\n\n")[0]
        .replace("\n", " ")
        .rstrip(".")
        .startswith(COMMANDS[name][1].rstrip("."))
    )


def test_the_first_page_and_completion_answer_at_once() -> None:
    """Nothing heavy is imported for them: the shell asks at every press of Tab."""
    heavy = ("sqlalchemy", "alembic", "redis", "httptools", "authlib", "cryptography")
    asked = {"_IDP_COMPLETE": "bash_complete", "COMP_WORDS": "idp us", "COMP_CWORD": "1"}
    for words, extra, shown in ((["--help"], {}, "idp demo"), ([], asked, "user")):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("IDP_")} | extra
        done = subprocess.run(
            [sys.executable, "-c", _LIGHT.format(heavy=heavy), *words], capture_output=True, text=True, env=environment
        )
        assert shown in done.stdout, done.stderr
        assert "heavy: []" in done.stderr


_LIGHT = """
import sys
from idp.cli import COMMANDS, main
try:
    main(prog_name="idp")
finally:
    print("heavy:", sorted(set({heavy!r}) & set(sys.modules)), file=sys.stderr)
"""


def test_version() -> None:
    assert __version__ in CliRunner().invoke(main, ["--version"]).output


def test_help_tells_how_to_begin_and_how_to_complete() -> None:
    shown = CliRunner().invoke(main, ["--help"]).output
    for part in ("idp demo", "idp config example > config.toml", "_IDP_COMPLETE=bash_source"):
        assert part in shown
