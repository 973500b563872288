"""corpora — can the lists of breached passwords be asked? And sessions that may live longer than anybody should like."""

from __future__ import annotations

from collections.abc import Iterator

from idp.authn import corpus
from idp.config import Settings
from idp.doctor.finding import Finding


def breached_passwords(settings: Settings) -> Iterator[Finding]:
    """Open the operator's corpus; say so when a range service is asked."""
    path = settings.passwords.breach_corpus
    try:
        found = corpus.find(path)
    except (OSError, corpus.NotACorpus) as error:
        yield Finding("breaches", "fail", f"the corpus {path} cannot be read: {error}",
                      "make it anew with `idp passwords corpus build`")  # fmt: skip
        return
    if found is not None:
        yield Finding("breaches", "ok", f"{found.count} breached passwords are refused")
    if settings.passwords.range_service_url:
        yield Finding(
            "breaches", "ok", "a range service is asked about new passwords and at sign-in; 5 digits of a hash leave"
        )


def long_sessions(settings: Settings) -> Iterator[Finding]:
    """NIST SP 800-63B-4, 2.2.3: at most an hour idle and a day in all (X-12)."""
    if settings.sessions.allow_longer:
        yield Finding("sessions", "warn", "sessions.allow_longer: lifetimes beyond 60 minutes idle or 24 hours are accepted",
                      "set it to false and see what `idp config check` says; or accept the departure from NIST")  # fmt: skip
