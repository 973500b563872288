"""`idp doctor` on lists of breached passwords and long sessions."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

from idp.authn import corpus
from idp.config import Settings
from idp.doctor import corpora


def found(check: Any, section: str, **values: Any) -> list[tuple[str, str]]:
    base = Settings()
    settings = dataclasses.replace(base, **{section: dataclasses.replace(getattr(base, section), **values)})
    return [(finding.state, finding.message) for finding in check(settings)]


def test_a_corpus_is_counted_and_a_broken_one_fails(tmp_path: Path) -> None:
    path = tmp_path / "corpus"
    corpus.build(io.BytesIO(b"one\ntwo\n"), path)
    assert found(corpora.breached_passwords, "passwords", breach_corpus=str(path)) == [
        ("ok", "2 breached passwords are refused")
    ]
    path.write_bytes(b"something else that is long enough to be read")
    [(state, told)] = found(corpora.breached_passwords, "passwords", breach_corpus=str(path))
    assert state == "fail" and "is not a corpus" in told
    assert found(corpora.breached_passwords, "passwords", breach_corpus=str(tmp_path / "gone"))[0][0] == "fail"


def test_nothing_is_said_of_what_is_not_set() -> None:
    assert found(corpora.breached_passwords, "passwords") == []
    assert found(corpora.long_sessions, "sessions") == []


def test_x12_long_sessions_and_a_range_service_are_told() -> None:
    assert found(corpora.long_sessions, "sessions", allow_longer=True)[0][0] == "warn"
    url = "https://ranges.example.org/range"
    assert "5 digits" in found(corpora.breached_passwords, "passwords", range_service_url=url)[0][1]
