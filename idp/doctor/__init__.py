"""doctor — what is wrong with this installation, and how to mend it. Looks, measures, and changes nothing but the audit.

finding.py   one line of the report
stores.py    database, migrations, Redis, clocks, disk
trust.py     settings, secrets, issuer, TLS, signing keys, password hashing
corpora.py   lists of breached passwords, long sessions
partners.py  those outside whom we believe
work.py      mail, sign-outs that applications must hear of, background jobs, the audit trail
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from idp import config
from idp.db import db
from idp.doctor import corpora, partners, stores, trust, work
from idp.doctor.finding import Check, Finding, State

log = logging.getLogger(__name__)

CHECKS: tuple[tuple[str, Check], ...] = (
    ("secrets", trust.secrets),
    ("issuer", trust.issuer),
    ("tls", trust.tls),
    ("database", stores.database),
    ("migrations", stores.migrations),
    ("redis", stores.redis),
    ("clock", stores.clocks),
    ("disk", stores.disk),
    ("keys", trust.signing_keys),
    ("registration", trust.registration),
    ("legacy", trust.legacy),
    ("issuers", partners.trusted_issuers),
    ("mtls", partners.client_certificates),
    ("factors", trust.trusted_devices),
    ("passwords", trust.password_hashing),
    ("breaches", corpora.breached_passwords),
    ("sessions", corpora.long_sessions),
    ("mail", work.mailing),
    ("logout", work.telling),
    ("metrics", trust.metrics_token),
    ("jobs", work.background),
    ("audit", work.trail),
)


def examine(settings: config.Settings, *, config_file: Path | None = None) -> Iterator[Finding]:
    """Yield findings, check by check, inside an application context. A check that breaks is a finding too."""
    yield from trust.config_file(config_file)
    for name, check in CHECKS:
        try:
            yield from check(settings)
        except Exception as error:
            log.debug("the check of %s broke", name, exc_info=True)
            told = str(error).strip().splitlines()[0][:200] if str(error).strip() else ""
            yield Finding(name, "fail", f"could not be examined: {type(error).__name__} {told}".strip(),
                          "mend what is reported above first; `idp --debug doctor` shows the details")  # fmt: skip
        finally:
            db.session.rollback()
            db.session.remove()


__all__ = ["CHECKS", "Finding", "State", "examine"]
