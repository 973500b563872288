"""still — whether a sign-in that is under way may go on: its person, their password and passkey, their session and proofs are as they were.

Asked whenever a flow is loaded, and once more under the person's lock just before something is bound to the account, or it is
signed in to: whoever resets the password, disables the account or ends its sessions holds that lock too (attacks 96, 98, 104, 119).
"""

from __future__ import annotations

from idp import sessions, users
from idp.authn import flow, proofs
from idp.authn.factors import passkey, password
from idp.authn.flow import LoginFlow
from idp.errors import NotFound
from idp.language import lazy_gettext
from idp.users import User

STARTED_OVER = lazy_gettext("Something about your account has changed. Please sign in again.")


def find(flow_id: str) -> LoginFlow | None:
    """Return a flow of this browser; one that may not go on starts over."""
    found = flow.find(flow_id)
    if found is None or found.sub is None or good(found, users.find_by_sub(found.sub)):
        return found
    return over(found)


def over(found: LoginFlow) -> LoginFlow:
    """Forget what was proved in a flow, and tell its person why."""
    blank = flow.blank(found, notice=str(STARTED_OVER))
    flow.save(blank)
    return blank


def locked(found: LoginFlow) -> User | None:
    """Return the person of a flow, locked until the commit; None when it may not go on."""
    try:
        user = users.lock(found.sub or "")
    except NotFound:
        return None
    return user if good(found, user) else None


def good(found: LoginFlow, user: User | None) -> bool:
    """Say whether everything that this flow rests on is as it was."""
    if user is None or not user.is_active or password.stamp(user) != found.stamp or not proofs.count(found):
        return False
    if found.passkey_id is not None and not passkey.usable(user, found.passkey_id):
        return False
    return found.sid is None or _lives(found.sid)


def _lives(sid: str) -> bool:
    """Say whether the session that a flow goes on from is still that of this browser, and not locked."""
    here = sessions.current()
    return here is not None and here.sid == sid
