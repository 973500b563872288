"""audit.verify: a time has one spelling where it is kept as text (L-6; attack 135)."""

from __future__ import annotations

from datetime import timedelta, timezone

import pytest

from idp import audit


@pytest.fixture
def db_url(sqlite_url):
    """PostgreSQL keeps an instant and no text: there is nothing to spell."""
    return sqlite_url


@pytest.mark.parametrize(
    "spelling",
    [
        "time || ' '",
        "replace(time, '+00:00', 'Z')",
        "replace(time, 'T', ' ')",
        "replace(time, '+00:00', '')",
        "replace(time, '+00:00', '-00:00')",
        "'yesterday'",
        "CAST(time AS BLOB)",
    ],
)
def test_attack_135_another_spelling_of_a_time_is_named(app, recorded, attacker, spelling):
    recorded(10)
    attacker(f"UPDATE audit_events SET time = {spelling} WHERE seq = 5")
    report = audit.verify()
    assert (report.ok, report.first_bad_seq) == (False, 5)
    assert "edited" in report.problem


def test_attack_135_the_same_instant_in_another_zone_is_named(app, recorded, attacker):
    """It hid an event from `--since`, which compares text, while the hash is made of the instant."""
    recorded(10)
    west = audit.tail()[4].time.astimezone(timezone(timedelta(hours=-11))).isoformat(timespec="microseconds")
    attacker("UPDATE audit_events SET time = :west WHERE seq = 5", west=west)
    assert audit.verify().first_bad_seq == 5
