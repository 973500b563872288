"""Requests that name no registered client or address: people read it in their language, programs and the audit as it was written."""

from __future__ import annotations

import pytest

from idp.db import db
from tests.oauth.conftest import basic


@pytest.fixture
def db_url(sqlite_url):
    """Nothing here depends on the database system."""
    return sqlite_url


@pytest.fixture
def clinic(make_rp):
    """An application whose name no error_description may hold (RFC 6749 section 5.2)."""
    return make_rp(client_name="Ärzte “Süd”")


SPANISH = {"Accept-Language": "es"}


def test_o21_a_pushed_request_is_refused_in_plain_ascii(clinic, client):
    headers = {"Authorization": basic(clinic.client.client_id, clinic.raw_secret)} | SPANISH
    answer = client.post("/par", data=clinic.params(redirect_uri="https://evil.example.com/"), headers=headers)
    assert answer.status_code == 400
    told = answer.get_json()["error_description"]
    assert told.isascii() and "asked to return to an address that is not registered (redirect_uri)" in told


def test_the_audit_reads_the_same_in_every_language(clinic, client):
    for headers in ({}, SPANISH):
        answer = client.get(
            "/authorize", query_string=clinic.params(redirect_uri="https://evil.example.com/"), headers=headers
        )
        assert answer.status_code == 400 and "Ärzte" in answer.get_data(as_text=True)
    reasons = db.session.execute(
        db.text("SELECT DISTINCT reason FROM audit_events WHERE event = 'authorization.denied'")
    ).scalars()
    assert list(reasons) == ["Ärzte “Süd” asked to return to an address that is not registered (redirect_uri)."]
