"""A sign-in in a browser where the person has not signed in before is told to them by mail (ASVS 6.3.5, N-20).

Not the first sign-in ever, and not on a shared workstation, where nobody is remembered and the house has vouched for the browser.
"""

from __future__ import annotations

from idp import audit
from idp.authn import browsers, device, notices, workstation
from idp.clock import now
from idp.config import settings
from idp.users import User
from idp.web import context


def is_new(user: User) -> bool:
    """Say whether this browser is new to a person who has signed in elsewhere before. Ask before the sign-in is written down."""
    if workstation.is_shared() or device.is_known(user.sub):
        return False
    return audit.has_happened(audit.Event.LOGIN_SUCCEEDED, subject=user.sub)


def tell(user: User) -> None:
    """Stage the notice to every verified address, if the setting wants it."""
    if settings().accounts.new_device_notice:
        notices.tell(user, "new_sign_in", device=browsers.described(context().user_agent), at=now())
