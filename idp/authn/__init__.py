"""authn — proving who somebody is; has never heard of OAuth.

A caller says what it needs (`Demand`), asks whether this browser's session is enough (`satisfied`), and if not answers with
`demand(…)`: the person is led through the sign-in pages and comes back to `return_to`.

assurance.py       factors done → acr and amr; is a session enough? (pure)
flow.py            LoginFlow in Redis: what a browser has proved so far
proofs.py          since when what a person proved counts: revoked with all sessions, a factor, a recovery
still.py           whether a sign-in under way may go on: asked at every load, and under the person's lock
left_open.py       where a sign-in was leading whose page lay open for too long
steps.py           what is owed next (pure), the one dispatcher, the end of a sign-in
identify.py        the first step: name and password
factors/           second factors, each whole in its file; FACTORS is the list
guard.py           login_required, require_recent, require_acr for views of other rooms
recovery.py        getting back in: forgotten password, forgotten username
recovery_way.py    where somebody was going when they turned to «Forgot password?»
recovery_factor.py a lost second step: recovery code, or the help desk's temporary code
recovery_case.py recovery_desk.py recovery_temporary.py     help-desk recovery: the cases, who may do what, the code
recovery_review.py after a recovery: what was added lately, and was it you?
device.py          known devices, so that strangers cannot lock a person out
trusted.py         trusted devices, which skip the second factor for a while (off by default)
new_device.py      a sign-in in a new browser is told to its person
workstation.py     browsers that many people share: nobody is remembered there
notices.py         mails about what happened to an account
views.py enrol_views.py passkey_views.py change_views.py policy_views.py recovery_views.py recovery_factor_views.py     pages
"""

from __future__ import annotations

from flask import Flask

from idp import sessions, web
from idp.authn import (
    change_views,
    enrol_views,
    forgery,
    guard,
    passkey_views,
    policy_views,
    proofs,
    recovery_factor_views,
    recovery_views,
    recovery_way,
    trusted,
    views,
    workstation,
)
from idp.authn.assurance import LEVELS, ONE_FACTOR, PHISHING_RESISTANT, SUPPORTED, TWO_FACTORS, Demand, satisfied
from idp.authn.steps import begin as demand

__all__ = [
    "LEVELS",
    "ONE_FACTOR",
    "PHISHING_RESISTANT",
    "SUPPORTED",
    "TWO_FACTORS",
    "Demand",
    "demand",
    "guard",
    "install",
    "satisfied",
    "trusted",
    "workstation",
]


def install(app: Flask) -> None:
    """Hang the pages of signing in on the application."""
    for blueprint in (
        views.pages,
        enrol_views.pages,
        change_views.pages,
        passkey_views.pages,
        policy_views.pages,
        recovery_views.pages,
        recovery_factor_views.pages,
    ):
        app.register_blueprint(blueprint)
    web.form_refused.connect(forgery.write_down)
    sessions.all_ended.connect(trusted.on_all_sessions_ended)
    sessions.all_ended.connect(proofs.on_all_sessions_ended)
    sessions.ended.connect(proofs.on_session_ended)
    workstation.forgotten.connect(recovery_way.forget)
    workstation.install(app)
