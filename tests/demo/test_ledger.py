"""Paying once, whoever else is paying."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

from idp.demo.claims import CLAIMS, Ledger, Release

APPROVED = next(claim for claim in CLAIMS if claim.id == "CLM-20428")
DENIED = next(claim for claim in CLAIMS if claim.status == "denied")
ENTRY = Release(released_by="_a", released_at=2, signed_in_at=1, acr="urn:idp:acr:2fa", cents=APPROVED.cents)


def test_20_threads_release_one_payment_and_one_of_them_pays(caplog):
    ledger = Ledger()
    with caplog.at_level(logging.INFO, "idp.demo.claims"), ThreadPoolExecutor(20) as pool:
        paid = list(pool.map(lambda _: ledger.release(APPROVED, ENTRY), range(20)))
    assert paid.count(True) == 1
    assert caplog.text.count("payment released: CLM-20428") == 1 and '"released_by": "_a"' in caplog.text


def test_what_is_not_approved_is_not_paid():
    ledger = Ledger()
    assert not ledger.release(DENIED, ENTRY)
    assert ledger.shown(DENIED)["status"] == "denied"
