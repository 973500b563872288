"""Helpers of the audit tests: an attacker with the database's own rights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from idp import audit
from idp.audit import Event
from idp.config import settings
from idp.db import committing, db


@pytest.fixture
def recorded(app: Flask) -> Callable[..., None]:
    """Record and commit `count` sign-ins, each with its number as detail."""

    def write(count: int = 10, *, sealed: bool = True, **fields: Any) -> None:
        with committing():
            for number in range(count):
                audit.record(Event.LOGIN_SUCCEEDED, subject=f"s{number}", amr=("pwd", "otp"), number=number, **fields)
        if sealed:
            audit.seal()

    return write


@pytest.fixture
def attacker(app: Flask) -> Callable[..., Any]:
    """Run SQL past the triggers, as somebody would who owns the database."""

    def run(*statements: str, **values: Any) -> Any:
        with db.engine.begin() as connection:
            _open_up(connection)
            result = [connection.execute(sa.text(statement), values) for statement in statements]
        return result[-1].rowcount

    return run


def _open_up(connection: sa.Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        return
    triggers = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").scalars().all()
    for trigger in triggers:
        connection.exec_driver_sql(f"DROP TRIGGER {trigger}")


@pytest.fixture
def checkpoint_file(app: Flask) -> Path:
    """The file outside of the database."""
    return Path(settings().audit.checkpoint_file)
