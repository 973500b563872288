"""`idp(…)` runs a command as a person would: a real configuration file, a migrated SQLite database, a real Valkey."""

from __future__ import annotations

import itertools
import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask import Flask

from idp import config, create_app
from idp.cli import main
from idp.db import db
from tests.conftest import fresh_key

_numbers = itertools.count()


@pytest.fixture(autouse=True)
def quiet_logging() -> Iterator[None]:
    """Commands configure the process's logging; give pytest its own back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(False)
    root.handlers[:], root.level = handlers, level


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing from the outside decides a test."""
    for name in list(os.environ):
        if name.startswith("IDP_"):
            monkeypatch.delenv(name)


@pytest.fixture
def config_file(sqlite_url: str, kv_url: str, tmp_path: Path) -> Path:
    """A configuration that only we can read."""
    file = tmp_path / "config.toml"
    file.write_text(
        f"""
mode = "development"
[server]
issuer = "http://localhost:8000"
[database]
url = "{sqlite_url}"
[redis]
url = "{kv_url}"
prefix = "cli{os.getpid()}:{next(_numbers)}:"
[secrets]
sealing_keys = ["{fresh_key("s1")}"]
peppers = ["{fresh_key("p1")}"]
[passwords]
bcrypt_cost = 4
[audit]
checkpoint_file = "{tmp_path / "checkpoints.jsonl"}"
[mail]
smtp_password = "mail-pass-word-1"
"""
    )
    file.chmod(0o600)
    return file


Idp = Callable[..., Result]


@pytest.fixture
def idp(config_file: Path) -> Idp:
    """Run a command on that configuration: `idp("user", "list")`; `fails=1` expects that exit status, `input=` is typed."""

    def run(*words: str, fails: int = 0, **options: Any) -> Result:
        result = CliRunner().invoke(main, ["--config", str(config_file), *words], **options)
        told = f"{words}: exit {result.exit_code}\n{result.output}"
        assert result.exit_code == fails, told
        assert "Traceback" not in result.output, told
        assert result.exception is None or isinstance(result.exception, SystemExit), told
        return result

    return run


@pytest.fixture
def answer(idp: Idp) -> Callable[..., Any]:
    """Run a command with --json and return what it answered."""
    return lambda *words, **options: json.loads(idp(*words, "--json", **options).stdout)


@pytest.fixture
def inside(config_file: Path) -> Iterator[Flask]:
    """The application that the commands work on, inside its context."""
    app = create_app(config.load(config_file, {}))
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def events(inside: Flask) -> Callable[[], list[tuple[str, str | None]]]:
    """What was committed to the audit: (event, actor)."""
    import sqlalchemy as sa

    def read() -> list[tuple[str, str | None]]:
        rows = db.session.execute(sa.text("SELECT event, actor FROM audit_events ORDER BY id")).all()
        db.session.rollback()
        return [(row.event, row.actor) for row in rows]

    return read
