"""What every command shares: where the configuration is, one transaction, answers as tables or JSON, errors in one line."""

from __future__ import annotations

import functools
import getpass
import json
import os
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, is_dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
import sqlalchemy.exc
from flask import Flask

from idp import config, create_app, errors, kv, logs
from idp.db import committing, db
from idp.embedded import EmbeddedError
from idp.server import CannotServe

DEFAULT_FILES = ("config.toml", "var/config.toml")  # the second is the demo's
FAILED, MISUSED = 1, 2

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class State:
    """What was said before the command: `idp --config … --json …`."""

    config_file: Path | None = None
    as_json: bool = False
    debug: bool = False

    def settings(self) -> config.Settings:
        """Read the configuration. Raises ConfigError."""
        path = self.config_path()
        try:
            return config.load(path)
        except config.ConfigError as error:
            if path is None:
                raise config.ConfigError(
                    f"there is no {DEFAULT_FILES[0]} here and the environment alone is not enough ({error}). "
                    f"Name a file with --config or IDP_CONFIG; `idp config example > config.toml` makes one"
                ) from None
            raise

    def config_path(self) -> Path | None:
        """Return the file that the settings come from: --config, IDP_CONFIG, ./config.toml, the demo's; or None."""
        if self.config_file is not None:
            return self.config_file
        return next((path for path in map(Path, DEFAULT_FILES) if path.is_file()), None)

    def app(self) -> Flask:
        """Build the application."""
        settings = self.settings()
        logs.configure(config.schema.Log(format="text", level="debug" if self.debug else "warning"))
        return create_app(settings)

    @contextmanager
    def work(self) -> Iterator[None]:
        """The edge of a command: the application's context and one transaction, committed at the end."""
        with self.app().app_context(), committing():
            yield

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Like `work`, for commands that change nothing; leaves no connection open."""
        with self.app().app_context():
            try:
                yield
            finally:
                db.session.rollback()
                db.session.remove()

    def show(self, answer: Any, human: Callable[[], None]) -> None:
        """Answer with JSON, or let `human` print for a person."""
        if self.as_json:
            click.echo(json.dumps(plain(answer), ensure_ascii=False, indent=2, sort_keys=False))
        else:
            human()


def _set_json(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    ctx.ensure_object(State).as_json |= value


def takes_state(function: F) -> F:
    """Decorate a command: it takes `--json`, and receives the State as its first argument."""

    @click.option(
        "--json", "as_json", is_flag=True, expose_value=False, callback=_set_json, help="Answer in JSON, for programs."
    )
    @click.pass_context
    @functools.wraps(function)
    def with_state(ctx: click.Context, *args: Any, **kwargs: Any) -> Any:
        return function(ctx.ensure_object(State), *args, **kwargs)

    return with_state  # type: ignore[return-value]


def actor() -> str:
    """Return who acts, for the audit: the operating system's user."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return f"cli:uid-{os.getuid()}"


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something that cannot be taken back; `--yes` answers. Raises click.Abort on anything but yes."""
    if yes:
        return
    click.confirm(question, abort=True, err=True)


yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask for a confirmation.")


# --- answers -------------------------------------------------------------------------------------------------


def plain(value: Any) -> Any:
    """Turn an answer into what JSON knows: ISO times in UTC, lists, objects."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner) for inner in value]
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds").replace("+00:00", "Z")
    if isinstance(value, Enum):
        return value.value
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, empty: str) -> None:
    """Print rows under their column names, aligned; the last column may be as long as it likes."""
    if not rows:
        click.echo(empty)
        return
    lines = [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = [
        max(_width(text) for text in texts)
        for texts in zip([c.upper() for c in columns], *lines, strict=True)  # titles count too
    ]
    click.echo(click.style(_line([column.replace("_", " ").upper() for column in columns], widths), bold=True))
    for line in lines:
        click.echo(_line(line, widths))


def facts(values: Mapping[str, Any]) -> None:
    """Print one thing, a line a fact."""
    width = max((len(name) for name in values), default=0)
    for name, value in values.items():
        click.echo(f"{click.style(name.replace('_', ' ').ljust(width), bold=True)}  {_cell(value)}")


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell + " " * (width - _width(cell)) for cell, width in zip(cells, widths, strict=True)]
    return "  ".join(padded).rstrip()


def _cell(value: Any) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}Z"
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(_cell(inner) for inner in value) or "-"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={_cell(inner)}" for key, inner in value.items()) or "-"
    return logs.spell_out(str(value))


def _width(text: str) -> int:
    """Columns on a terminal: wide characters take two, combining ones none."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(unicodedata.combining(character) != 0 for character in text)


# --- errors --------------------------------------------------------------------------------------------------


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
        click.echo(f"{click.style('Error:', fg='red')} {logs.spell_out(self.message)}", err=True)


class Group(click.Group):
    """A command group that explains failures instead of printing tracebacks (`--debug` prints them)."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; turn what it raises into a Failure."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception as error:
            if ctx.ensure_object(State).debug:
                raise
            explain(error)


def explain(error: Exception) -> NoReturn:
    """Raise the Failure that tells a person what went wrong and what to do."""
    if isinstance(error, config.ConfigError):
        raise Failure(f"{error}.".replace("..", "."), exit_code=MISUSED) from error
    if isinstance(error, errors.BadInput) and error.fields:
        told = "; ".join(f"{name}: {' '.join(sentences)}" for name, sentences in error.fields.items())
        raise Failure(told) from error
    if isinstance(error, errors.IdpError):
        raise Failure(" ".join(part for part in (error.public, error.detail) if part)) from error
    if isinstance(error, CannotServe | EmbeddedError):
        raise Failure(str(error)) from error
    if isinstance(error, kv.Unavailable):
        raise Failure(
            f"Redis does not answer ({error}). Start it or mend redis.url; `idp doctor` says more."
        ) from error
    if isinstance(error, sqlalchemy.exc.DBAPIError | sqlalchemy.exc.NoSuchModuleError | sqlalchemy.exc.ArgumentError):
        raise Failure(_about_database(error)) from error
    if isinstance(error, OSError) and error.filename:
        raise Failure(f"{error.filename}: {error.strerror}.") from error
    message = logs.clean(f"{type(error).__name__}: {error}", longest=300)
    raise Failure(f"Unexpected: {message}. Run again with `idp --debug …` for the traceback.") from error


def _about_database(error: Exception) -> str:
    told = logs.clean(str(getattr(error, "orig", None) or error).strip().splitlines()[0], longest=300)
    if "no such table" in told or "does not exist" in told or "no such column" in told:
        return f"The database lacks a table ({told}). Run `idp db upgrade`."
    return f"The database cannot be used ({told}). Mend database.url or start the server; `idp doctor` says more."
