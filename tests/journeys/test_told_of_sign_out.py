"""A sign-out in the running demo: the server tells both services, and both believe it (O-40, O-44)."""

from __future__ import annotations

import json
import time

import pytest

pytestmark = pytest.mark.xdist_group("demo")


def test_both_services_are_told_within_seconds_and_answer_yes(demo, phones, browser):
    browser.sign_in(browser.open(demo.facts["claims_url"]), demo.person("jonas"), phones["jonas"])
    patients = browser.open(f"{demo.facts['patients_url']}/dashboard")
    assert "Hello, Jonas Feld" in patients.text
    browser.submit(patients, "/sign-out")
    told = _latest(demo)
    until = time.monotonic() + 90
    while "waiting" in told.values() and time.monotonic() < until:
        time.sleep(0.5)
        told = _latest(demo)
    assert told == {"demo-claims": "delivered", "demo-patients": "delivered"}


def _latest(demo) -> dict[str, str]:
    """How the applications of the session that ended last were told."""
    answer = demo.idp("--json", "client", "deliveries")
    assert answer.returncode == 0, answer.stderr
    rows = json.loads(answer.stdout)["deliveries"]
    return {row["client_id"]: row["outcome"] for row in rows if row["sid"] == rows[0]["sid"]}
