"""What every command shares: where the configuration is, who acts, and one transaction.

Rooms are imported when a command runs and not before, so that `idp --help` and the shell's completion answer at once.
"""

from __future__ import annotations

import functools
import getpass
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from idp.cli.output import plain

if TYPE_CHECKING:
    from flask import Flask

    from idp import config

DEFAULT_FILES = ("config.toml", "var/config.toml")  # the second is the demo's

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class State:
    """What was said before the command: `idp --config … --json …`."""

    config_file: Path | None = None
    as_json: bool = False
    debug: bool = False

    def settings(self) -> config.Settings:
        """Read the configuration. Raises ConfigError."""
        from idp import config

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
        from idp import config, create_app, logs

        settings = self.settings()
        logs.configure(config.schema.Log(format="text", level="debug" if self.debug else "warning"))
        return create_app(settings)

    @contextmanager
    def work(self) -> Iterator[None]:
        """The edge of a command: the application's context and one transaction, committed at the end."""
        from idp.db import committing

        with self.reading(), committing():
            yield

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Like `work`, for commands that change nothing or commit by themselves; leaves no connection open."""
        from idp import audit
        from idp.db import db

        with self.app().app_context(), audit.beside(**_said_by_sudo()):
            try:
                yield
            finally:
                db.session.rollback()
                db.session.remove()
                db.engine.dispose()

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
    """Return who acts, for the audit and for four eyes: whom the kernel says this process belongs to.

    LOGNAME and USER say whatever their owner wrote into them. Whoever became root acts as root.
    """
    try:
        import pwd
    except ImportError:  # not a Unix
        return f"cli:{getpass.getuser()}"
    try:
        return f"cli:{pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:  # a container's user without a name
        return f"cli:uid-{os.getuid()}"


def _said_by_sudo() -> dict[str, str]:
    """Return who became root, as sudo says: beside the actor, never in place of it, for root can say anything."""
    said = os.environ.get("SUDO_UID", "")
    is_root = hasattr(os, "getuid") and os.getuid() == 0
    return {"sudo_uid": said} if is_root and said.isdecimal() and len(said) <= 10 else {}


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something that cannot be taken back; `--yes` answers. Raises click.Abort on anything but yes."""
    if yes:
        return
    click.confirm(question, abort=True, err=True)


yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask for a confirmation.")
