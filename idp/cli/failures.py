"""Failures in one clear line with the remedy, never a traceback (but for `--debug`); groups that load their commands late."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from idp import errors, spelling
from idp.cli.base import State

FAILED, MISUSED = 1, 2


class Failure(click.ClickException):
    """One clear line and the remedy, on standard error; exit status 1, or 2 for a wrong configuration."""

    def __init__(self, message: str, *, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click documents it so
        ctx = click.get_current_context(silent=True)
        self.as_json = ctx is not None and ctx.ensure_object(State).as_json

    def show(self, file: Any = None) -> None:
        """Print the line; as JSON when the command was asked for JSON."""
        if self.as_json:
            click.echo(json.dumps({"error": self.message, "exit_code": self.exit_code}, ensure_ascii=False), err=True)
            return
        click.echo(f"{click.style('Error:', fg='red')} {spelling.spell_out(self.message)}", err=True)


class Group(click.Group):
    """A command group that explains failures instead of printing tracebacks (`--debug` prints them)."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; turn what it raises into a Failure."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError):
            raise
        except Exception as error:
            if ctx.ensure_object(State).debug:
                raise
            explain(error)


class LateGroup(Group):
    """A group that knows its commands by name and sentence, and imports the one that is called.

    `commands` maps a name to where the command is ("idp.cli.people:group") and its sentence.
    """

    def __init__(self, *args: Any, late: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.late = late

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order in which one meets them."""
        return list(self.late)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in self.late:
            return None
        module, _, name = self.late[cmd_name][0].partition(":")
        found: click.Command = getattr(importlib.import_module(module), name)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, sentence) for name, (_, sentence) in self.late.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command's name without importing it; options as usual."""
        fitting = [
            CompletionItem(name, help=told) for name, (_, told) in self.late.items() if name.startswith(incomplete)
        ]
        return [*fitting, *click.Command.shell_complete(self, ctx, incomplete)]


def explain(error: Exception) -> NoReturn:
    """Raise the Failure that tells a person what went wrong and what to do."""
    import sqlalchemy.exc

    from idp import config, kv

    if isinstance(error, config.ConfigError):
        raise Failure(f"{error}.".replace("..", "."), exit_code=MISUSED) from error
    if isinstance(error, errors.BadInput) and error.fields:
        told = "; ".join(f"{name}: {' '.join(sentences)}" for name, sentences in error.fields.items())
        raise Failure(told) from error
    if isinstance(error, errors.IdpError):
        raise Failure(" ".join(part for part in (error.public, error.detail) if part)) from error
    if isinstance(error, kv.Unavailable):
        raise Failure(
            f"Redis does not answer ({error}). Start it or mend redis.url; `idp doctor` says more."
        ) from error
    if isinstance(error, sqlalchemy.exc.DBAPIError | sqlalchemy.exc.NoSuchModuleError | sqlalchemy.exc.ArgumentError):
        raise Failure(_about_database(error)) from error
    if isinstance(error, OSError) and error.filename:
        raise Failure(f"{error.filename}: {error.strerror}.") from error
    message = spelling.clean(f"{type(error).__name__}: {error}", longest=300)
    raise Failure(f"Unexpected: {message}. Run again with `idp --debug …` for the traceback.") from error


def _about_database(error: Exception) -> str:
    told = spelling.clean(str(getattr(error, "orig", None) or error).strip().splitlines()[0], longest=300)
    if "no such table" in told or "does not exist" in told or "no such column" in told:
        return f"The database lacks a table ({told}). Run `idp db upgrade`."
    return f"The database cannot be used ({told}). Mend database.url or start the server; `idp doctor` says more."
