"""sessions — who is signed in on this browser. Owns Redis `sso:*`; has never heard of OAuth.

store.py     the record in Redis: one key a session, so that touching, renewing and ending are one atomic step each
browser.py   the cookie, and the front door for requests: start, current, renew, end, end_all

The cookie carries `<sid>.<secret>` (256 random bits); Redis keeps only the secret's digest. The `sid` alone opens nothing:
it goes into tokens, logs and the audit. The number of sessions a person may have at once is not limited; they see all of them
and can end each (standards 7.121).

`ended` is the one message that goes upward: sent as `ended.send("sessions", sub=…, sid=…, cause=…)` inside the caller's
transaction, once a session, whatever ended it: on purpose, or because it idled or came to its absolute end (causes "idle" and
"absolute"; noticed when its browser comes back, or by `sweep`, which a job calls every few seconds). Redis is not in the transaction: a session
stays ended when the commit fails. Applications that keep working for a person slide the idle limit by `keep`.
A session may be locked (`lock`): then nobody is signed in, until its own person signs in again and goes on with it (`renew`).
`all_ended` follows the single messages of `end_all`, also when no session was left: what outlives sessions may hang on it.
"""

from idp.sessions.browser import (
    all_ended,
    current,
    end,
    end_all,
    ended,
    is_alive,
    keep,
    lock,
    locked,
    peek,
    renew,
    start,
    sweep,
    was_here,
)
from idp.sessions.store import SsoSession, choose, of

__all__ = [
    "SsoSession", "all_ended", "choose", "current", "end", "end_all", "ended", "is_alive", "keep", "lock", "locked",
    "of", "peek", "renew", "start", "sweep",
    "was_here",
]  # fmt: skip
