"""`idp db`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from idp import db
from tests.cli.conftest import Idp


def test_a_fresh_database_is_upgraded_once(
    idp: Idp, answer: Callable[..., Any], config_file: Path, tmp_path: Path
) -> None:
    text = config_file.read_text()
    url = next(line for line in text.splitlines() if line.startswith('url = "sqlite'))
    config_file.write_text(text.replace(url, f'url = "sqlite:///{tmp_path / "new" / "fresh.db"}"'))
    before = answer("db", "current", fails=1)
    assert (before["current"], before["up_to_date"]) == (None, False)
    assert "run `idp db upgrade`" in idp("db", "current", fails=1).output
    newest = db.head()
    assert answer("db", "upgrade") == {"before": None, "after": newest}
    assert answer("db", "upgrade") == {"before": newest, "after": newest}
    assert answer("db", "current") == {"current": newest, "head": newest, "up_to_date": True}


def test_commands_on_an_empty_database_say_what_to_do(idp: Idp, config_file: Path, tmp_path: Path) -> None:
    text = config_file.read_text()
    url = next(line for line in text.splitlines() if line.startswith('url = "sqlite'))
    config_file.write_text(text.replace(url, f'url = "sqlite:///{tmp_path / "empty.db"}"'))
    for words in (("user", "list"), ("client", "list"), ("keys", "list"), ("audit", "verify")):
        assert "idp db upgrade" in idp(*words, fails=1).output


def test_downgrade_asks_first(idp: Idp, answer: Callable[..., Any]) -> None:
    idp("db", "downgrade", "0007", fails=1, input="n\n")
    assert answer("db", "current")["up_to_date"] is True
    assert answer("db", "downgrade", "0007", "--yes")["after"] == "0007"
    idp("db", "upgrade")


def test_serve_refuses_a_database_that_is_behind(idp: Idp) -> None:
    idp("db", "downgrade", "0007", "--yes")
    result = idp("serve", fails=1)
    assert "idp db upgrade" in result.output
    assert "0007" in result.output
