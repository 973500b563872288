"""An authenticator app that waits for its first code. Owns Redis `enrol:totp:*`.

The secret is sealed there, bound to its person, good for nothing until a code proves that the app has it, and gone after half an hour. It
is shown while it is pending and never again (C-14); the picture is drawn here, so that no other service sees it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from urllib.parse import urlsplit

import pyotp
from markupsafe import Markup

from idp import crypto, kv, web
from idp.config import settings
from idp.language import gettext
from idp.record import Record
from idp.users import User

PENDING_S = 1800
_PHONES = ("iPhone", "iPad", "Android")


class Pending(Record):
    """An authenticator that waits for its first code. Shown to its person, kept nowhere else in the clear."""

    id: str
    secret_base32: str
    otpauth_uri: str
    label: str = ""

    @property
    def qr_svg(self) -> Markup:
        """The URI as a QR code, drawn here: no other service sees it (C-14)."""
        import segno

        drawn = segno.make(self.otpauth_uri, error="m", micro=False)
        return Markup(drawn.svg_inline(border=4, dark="#000", light="#fff", omitsize=True, lineclass=None))  # noqa: S704

    @property
    def secret_groups(self) -> list[str]:
        """The secret in groups of four, to be typed."""
        return [self.secret_base32[at : at + 4] for at in range(0, len(self.secret_base32), 4)]


def begin(user: User, *, taken: Iterable[str] = ()) -> Pending:
    """Make a secret of 160 bits (RFC 4226 section 4) that is good for nothing until a code confirms it.

    `taken` are the names of the apps that the person has: the new one is proposed another, which its account in the app shows too.
    """
    pending_id, secret = crypto.random_token(), pyotp.random_base32()
    names = list(taken)
    label = proposed_label(names)
    account = f"{user.username} ({label})" if names else user.username
    kept = "\n".join([secret, label, account])
    sealed = crypto.seal(kept.encode(), aad=_aad(user, pending_id))
    kv.client().set(_key(pending_id), base64.b64encode(sealed).decode(), ex=PENDING_S)
    return _pending(pending_id, kept)


def find(user: User, pending_id: str) -> Pending | None:
    """Return an authenticator that this person is enrolling, so that a reloaded page shows the same picture."""
    kept = kv.client().get(_key(pending_id))
    if not kept:
        return None
    try:
        return _pending(pending_id, crypto.unseal(base64.b64decode(str(kept)), aad=_aad(user, pending_id)).decode())
    except crypto.SealBroken:
        return None


def take(pending_id: str) -> bool:
    """Take it out of waiting: of many who try, one hears True."""
    return bool(kv.client().delete(_key(pending_id)))


def proposed_label(taken: Iterable[str]) -> str:
    """Propose a name that the person has not used: that of the phone they are holding, if they enrol on it."""
    agent = (web.context().user_agent or "")[:512]
    first = next((phone for phone in _PHONES if phone in agent), None) or gettext("Authenticator app")
    names = set(taken)
    numbered = (first if number == 1 else f"{first} {number}" for number in range(1, len(names) + 2))
    return next(name for name in numbered if name not in names)


def _pending(pending_id: str, kept: str) -> Pending:
    secret, label, account = kept.split("\n")
    issuer = urlsplit(settings().server.issuer).hostname or "idp"
    return Pending(pending_id, secret, pyotp.TOTP(secret).provisioning_uri(name=account, issuer_name=issuer), label)


def _aad(user: User, pending_id: str) -> str:
    return f"totp-pending|{user.sub}|{pending_id}"


def _key(pending_id: str) -> str:
    return kv.key("enrol", "totp", crypto.digest(pending_id))
