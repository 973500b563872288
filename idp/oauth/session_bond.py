"""Whether the sign-in that a family hangs on still stands, asked after the family was committed (attacks 55, 119).

A session dies in Redis first; only then its families are revoked in the database. A family that was committed too late for that
revocation would live on. So who turns a family into tokens asks once more: if the session lives now, whatever ends it later
finds the family; if it does not, the family ends here, an offline one too, for nobody has had anything of it yet.
"""

from __future__ import annotations

from authlib.oauth2.rfc6749 import InvalidGrantError

from idp import audit, sessions
from idp.oauth import tokens
from idp.oauth.tokens import Family

ENDED = "session_ended"
_TOLD = "The authorization has been withdrawn, or the person has signed out."


def holds(family: Family) -> bool:
    """Say whether the first tokens of a committed family may be issued; if not, the family has ended. One question to Redis.

    A family for whom somebody vouched has no session. Raises kv.Unavailable: nothing is issued then.
    """
    if not family.has_sign_in or sessions.is_alive(family.sid):
        return True
    _end(family)
    return False


def insist(family: Family) -> None:
    """Refuse the first tokens of a family whose session is over. Raises InvalidGrantError."""
    if not holds(family):
        raise InvalidGrantError(_TOLD)


def insist_at_work(family: Family) -> None:
    """Slide the idle limit of the session that an application works on, or refuse because it is over (F-9, X-12).

    Offline families are on their own after their first tokens (O-41). Raises InvalidGrantError.
    """
    if family.offline or not family.has_sign_in or sessions.keep(family.sid):
        return
    _end(family)
    raise InvalidGrantError(_TOLD)


def _end(family: Family) -> None:
    if tokens.revoke_family(family.id, because=ENDED):
        audit.record(
            audit.Event.TOKEN_REVOKED,
            subject=family.sub,
            client_id=family.client_id,
            sid=family.sid,
            family=family.id,
            reason=ENDED,
        )
