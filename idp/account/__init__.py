"""account — a person's own pages: what is known of them, where they are signed in, what applications may do, what happened.

frame.py     the blueprint, who is here, the word on what was just done, a fresh proof where one is owed
home.py      the overview `/`
profile.py   names, claims, language, time zone
emails.py    addresses and username
sessions.py  where they are signed in
apps.py      what applications may do
activity.py  what happened
data.py      everything we hold, as a file
session_end.py  how long the session lasts: the warning before its end, and staying
workstation.py  lock a shared workstation, or switch the person
security.py  how they sign in: password, authenticators, recovery codes, trusted browsers
told.py      the record in the words of whom it is about
words.py     facts in the words that people use

Every rule lives in the rooms below. templates/account_base.html is the frame of the pages.
"""

from __future__ import annotations

from flask import Flask

from idp.account import activity, apps, data, emails, home, profile, security, session_end, workstation
from idp.account import sessions as where
from idp.account.frame import pages

__all__ = ["install"]

_PAGES = (
    home,
    profile,
    security,
    emails,
    where,
    apps,
    activity,
    data,
    session_end,
    workstation,
)  # importing them hangs their views on the blueprint


def install(app: Flask) -> None:
    """Hang the pages of one's own account on the application."""
    app.register_blueprint(pages)
    app.jinja_env.globals["account_frame"] = session_end.frame
