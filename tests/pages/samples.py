"""Every page in every state it can have: the contexts that the views promise to pass, by (template, variant)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace as Shape
from typing import Any

from markupsafe import Markup

from tests.pages import account_samples, security_samples, staff_samples

NOW = datetime(2026, 3, 2, 7, 4, tzinfo=UTC)

COMMON: dict[str, Any] = {
    "lang": "en",
    "page_title": "",
    "request_id": "0195-7b1e-44c0",
    "support": Shape(
        name="Clinical service desk",
        email="servicedesk@example.org",
        phone="+1 555 0100",
        hours="Every day, 6 a.m. to 10 p.m.",
    ),
}

RULES = [
    {"rule": "length", "text": "At least 12 characters; up to 256, spaces welcome.", "least": 12, "most": 256},
    {"rule": "upper", "text": "At least 1 upper-case letter.", "least": 1, "most": None},
    {"rule": "lower", "text": "At least 1 lower-case letter.", "least": 1, "most": None},
    {"rule": "digit", "text": "At least 1 digit.", "least": 1, "most": None},
    {"rule": "special", "text": "At least 1 special character, such as - ! % or a space.", "least": 1, "most": None},
    {
        "rule": "username",
        "text": "Not your username, your address or your name, nor something made from them.",
        "least": None,
        "most": None,
    },
    {"rule": "history", "text": "Not one of your last 5 passwords.", "least": None, "most": None},
]
PASSWORD_RULES = [rule["text"] for rule in RULES]
VIOLATIONS = [
    {"rule": "length", "message": "Use at least 12 characters: 3 more."},
    {"rule": "digit", "message": "Add at least 1 digit."},
]
OTHER_WAYS = [{"name": "recovery_code", "label": "Use a recovery code", "url": "/login/recovery_code?flow=f1"}]
SESSION = Shape(
    sid="s1",
    sub="u1",
    acr="urn:idp:acr:2fa",
    amr=("pwd", "otp", "mfa"),
    auth_time=NOW,
    started_at=NOW,
    seen_at=NOW,
    expires_at=NOW + timedelta(hours=12),
    idle_s=900,
    address="192.0.2.7",
    user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0",
)
USER = Shape(display_name="Dr. Maren Oduya", username="maren.oduya@example.org")
LOGIN = {
    "flow_id": "f1",
    "client_name": "Claims service",
    "identifier": "",
    "error": None,
    "retry_after_s": None,
    "password_rules": PASSWORD_RULES,
    "browser_supported": True,
}
WRONG = (
    "The username or the password is not right. If you are sure of both, wait a few minutes and try again, "
    "or choose a new password with “Forgot password?”."
)
SIGN_UP = {
    "sent": False,
    "email": "",
    "error": None,
    "retry_after_s": None,
    "client": "",
    "txn": "",
    "app": None,
    "domains": (),
    "approval": True,
}
SIGN_UP_CONFIRM = {"address": USER.username, "display_name": "", "note": "", "approval": True, "error": None}
INVITATION = {
    "name": USER.display_name,
    "address": USER.username,
    "username": "m.oduya",
    "may_choose": False,
    "app": "Claims service",
    "rules": RULES,
    "violations": [],
    "error": None,
}
PASSKEY = {
    "flow_id": "f1",
    "client_name": "Claims service",
    "error": None,
    "other_factors": [{"name": "totp", "label": "Use my authenticator app", "url": "/login/totp?flow=f1"}, *OTHER_WAYS],
}
WHY = Shape(
    reasons=(
        "Claims service needs a proof of the last 5 minutes. Your last one was at Mar 2, 2026, 6:41 AM UTC.",
        "Claims service needs a second proof here, beside your password.",
    ),
    purpose=("Release one payment", "claim: CLM-20428", "amount: 129.50 USD"),
    username="maren.oduya@example.org",
)
TOTP = {"flow_id": "f1", "client_name": "Claims service", "error": None, "other_factors": OTHER_WAYS}
ENROL = {
    "flow_id": "f1",
    "qr_svg": Markup('<svg viewBox="0 0 9 9"><path stroke="#000" d="M1 1h7"/></svg>'),
    "secret_groups": ["JBSW", "Y3DP", "EHPK", "3PXP", "JBSW", "Y3DP", "EHPK", "3PXP"],
    "label": "Authenticator app",
    "otpauth_uri": "otpauth://totp/idp:maren.oduya%40example.org?secret=JBSWY3DPEHPK3PXP&issuer=idp",
    "error": None,
}
CODES = [
    "7QK4-M2XA-9FHD",
    "B3RT-W8NC-5LJP",
    "H6VD-2YKS-XM4Q",
    "P9CF-T7AB-3WRN",
    "K2JX-5HDM-V8YL",
    "R4SN-Q6BT-7CKF",
    "W8LA-D3VH-2PXJ",
    "Y5MK-9RCQ-6TNB",
]
CONSENT = {
    "txn": "t1",
    "client_name": "Ward Rounds",
    "redirect_host": "rounds.example.com",
    "scopes": [
        {"name": "openid", "sentence": "know who you are when you sign in"},
        {"name": "profile", "sentence": "see your name and your role"},
        {"name": "patients:read", "sentence": "read the patients whom you may see"},
    ],
    "details": [],
    "lifetime": "Until you sign out, 12 hours at most.",
    "first_time": True,
}
DEVICE = {
    "txn": "t1",
    "client_name": "Ward Rounds",
    "user_code": "WDJB-MJHT",
    "display_name": USER.display_name,
    "username": USER.username,
    "scopes": CONSENT["scopes"],
    "lifetime": "Until you sign out here",
    "address": "192.0.2.7",
    "near": True,
    "started_at": NOW,
}
HOME = {
    "user": USER,
    "session": SESSION,
    "how": "Password and code",
    "elsewhere": 0,
    "apps": [
        {"name": "Claims service", "url": "https://claims.example.org/"},
        {"name": "Patient service", "url": "https://patients.example.org/"},
    ],
    "recent": [
        {"when": NOW, "what": "Signed in with password and code", "where": "192.0.2.7"},
        {"when": NOW - timedelta(days=1), "what": "Recovery code used", "where": "198.51.100.23"},
        {"when": "yesterday", "what": "Password changed", "where": ""},
    ],
}
MAIL = {
    "to": "maren.oduya@example.org",
    "subject": "Choose a new password",
    "body": "Hello Maren,\n\nopen http://localhost:8000/recover/password/new?token=abcdefghijklmnopqrstuvwxyz0123456789 "
    "within 15 minutes.\n\n<b>not markup</b>",
    "when": NOW,
}
END = {
    "client_name": "Claims service",
    "display_name": "Dr. Maren Oduya",
    "hidden": {"state": 'x"><script>alert(1)</script>', "client_id": "claims"},
}

CASES: dict[tuple[str, str], dict[str, Any]] = {
    ("login.html", "first"): LOGIN,
    ("login.html", "own_account"): {**LOGIN, "client_name": None},
    ("login.html", "again"): {**LOGIN, "identifier": "maren", "why": WHY},
    ("login.html", "error"): {**LOGIN, "identifier": "maren", "error": WRONG},
    ("login.html", "locked"): {**LOGIN, "identifier": "maren", "error": WRONG, "retry_after_s": 120},
    ("login.html", "notice"): {**LOGIN, "notice": "The sign-in page was open for too long. Please sign in again."},
    ("login.html", "passkey_error"): {
        **LOGIN,
        "error": "That passkey did not work here. Try again, or sign in with your password.",
        "error_field": None,
    },
    ("login.html", "no_passkeys"): {**LOGIN, "passkeys": False},
    ("login.html", "old_browser"): {**LOGIN, "browser_supported": False},
    ("select_account.html", "first"): {
        "flow_id": "f1",
        "display_name": USER.display_name,
        "username": USER.username,
    },
    ("factor_passkey.html", "first"): PASSKEY,
    ("factor_passkey.html", "trust"): {**PASSKEY, "trust_days": 14},
    ("factor_passkey.html", "error"): {**PASSKEY, "error": "That passkey did not work here."},
    ("enrol.html", "first"): {"flow_id": "f1", "names": ("passkey", "totp")},
    ("enrol_passkey.html", "first"): {"flow_id": "f1", "error": None, "has_choice": True},
    ("enrol_passkey.html", "only"): {"flow_id": "f1", "error": None, "has_choice": False},
    ("enrol_passkey.html", "error"): {
        "flow_id": "f1",
        "error": "This passkey is on an account already. Use another device or security key.",
        "has_choice": True,
    },
    ("factor_totp.html", "first"): TOTP,
    ("factor_totp.html", "again"): {**TOTP, "why": WHY},
    ("factor_totp.html", "trust"): {**TOTP, "trust_days": 14},
    ("factor_totp.html", "error"): {**TOTP, "error": "This code is not right, or it was used before."},
    ("factor_recovery_code.html", "first"): {"flow_id": "f1", "error": None, "other_factors": OTHER_WAYS},
    ("factor_recovery_code.html", "error"): {
        "flow_id": "f1",
        "error": "This code is not right.",
        "other_factors": [],
    },
    ("enrol_totp.html", "first"): ENROL,
    ("enrol_totp.html", "error"): {**ENROL, "error": "This code does not fit the key."},
    ("enrol_totp.html", "error-name"): {
        **ENROL,
        "label": "My\u202ephone",
        "error": "The name must not contain invisible control characters.",
        "wrong_label": "The name must not contain invisible control characters.",
    },
    ("recovery_codes.html", "first"): {"flow_id": "f1", "codes": CODES},
    ("recovery_codes.html", "spent"): {"flow_id": "f1", "codes": CODES, "spent_one": True},
    ("recovery_codes.html", "error"): {
        "flow_id": "f1",
        "codes": CODES,
        "error": "Please confirm that you saved them.",
    },
    ("password_change.html", "first"): {"flow_id": "f1", "rules": RULES, "violations": []},
    ("password_change.html", "soon"): {
        "flow_id": "f1",
        "rules": RULES,
        "violations": [],
        "username": "maren",
        "reason": "The rules for passwords are stricter now. Yours works until Mar 16, 2026, 7:04 AM UTC; please change it by then.",
        "lacking": [RULES[0]["text"], RULES[3]["text"]],
        "may_wait": True,
    },
    ("password_change.html", "leaked"): {
        "flow_id": "f1",
        "rules": RULES,
        "violations": [],
        "username": "maren",
        "reason": "Your present password is one that attackers try first: it was leaked somewhere, or many people use it. "
        "Please choose another before you go on. If you use it elsewhere too, change it there as well.",
    },
    ("password_change.html", "error"): {
        "flow_id": "f1",
        "rules": RULES,
        "violations": VIOLATIONS,
        "username": "maren",
    },
    ("password_change.html", "own"): {
        "flow_id": "f1",
        "rules": RULES,
        "violations": [],
        "username": "maren",
        "asks_present": True,
        "reason": "Your other sessions will be signed out.",
    },
    ("password_change.html", "error-present"): {
        "flow_id": "f1",
        "rules": RULES,
        "violations": [],
        "username": "maren",
        "asks_present": True,
        "error": "This is not your present password.",
    },
    ("no_cookies.html", "error"): {},
    ("consent.html", "first"): CONSENT,
    ("consent.html", "links"): {
        **CONSENT,
        "links": [
            {"label": "Privacy policy", "url": "https://rounds.example.com/privacy", "host": "rounds.example.com"},
            {"label": "Logo", "url": "https://rounds.example.com/logo.svg", "host": "rounds.example.com"},
        ],
    },
    ("consent.html", "details"): {
        **CONSENT,
        "details": [
            {"sentence": "Release one payment", "facts": [("amount", "120.00"), ("payee", "Ward <b>Rounds</b>")]}
        ],
    },
    ("consent.html", "more"): {**CONSENT, "first_time": False},
    ("device_code.html", "first"): {"user_code": "", "error": None},
    ("device_code.html", "prefilled"): {"user_code": "WDJB-MJHT", "error": None},
    ("device_code.html", "error"): {"user_code": "XXXX", "error": "This code is not right, or it has expired."},
    ("device_confirm.html", "near"): DEVICE,
    ("device_confirm.html", "details"): {
        **DEVICE,
        "details": [{"sentence": "Release one payment", "facts": [("claim", "CLM-20428"), ("amount", "currency USD")]}],
    },
    ("device_confirm.html", "far"): {**DEVICE, "near": False, "address": "2001:db8:12:3456:789a:bcde:f012:3456"},
    ("device_done.html", "allowed"): {"client_name": "Ward Rounds", "allowed": True},
    ("device_done.html", "denied"): {"client_name": "Ward Rounds", "allowed": False},
    ("recover_password.html", "first"): {"sent": False, "error": None},
    ("recover_password.html", "error"): {"sent": False, "error": "Please enter your username."},
    ("recover_password.html", "sent"): {"sent": True, "error": None, "minutes": 15},
    ("recover_password.html", "sent_from"): {
        "sent": True,
        "error": None,
        "minutes": 15,
        "client_name": "Claims service",
    },
    ("recover_username.html", "first"): {"sent": False, "error": None},
    ("recover_username.html", "error"): {"sent": False, "error": "Please enter an e-mail address."},
    ("recover_username.html", "sent"): {"sent": True, "error": None},
    ("recover_new_password.html", "first"): {"rules": RULES, "violations": [], "valid": True},
    ("recover_new_password.html", "error"): {"rules": RULES, "violations": VIOLATIONS, "valid": True},
    ("recover_new_password.html", "expired_error"): {"valid": False},
    ("recover_done.html", "first"): {},
    ("recover_done.html", "from"): {"back_url": "/recover/continue", "client_name": "Claims service"},
    ("invitation.html", "first"): INVITATION,
    ("invitation.html", "choosing"): {**INVITATION, "may_choose": True, "app": None},
    ("invitation.html", "error"): {**INVITATION, "violations": VIOLATIONS},
    ("invitation.html", "taken_error"): {**INVITATION, "may_choose": True, "error": "This username is taken."},
    ("invitation_dead.html", "expired_error"): {
        "told": "Invitations are good for a few days only, and this one is older. We can send you a new one.",
        "state": "expired",
        "usable": True,
    },
    ("invitation_dead.html", "used_error"): {
        "told": "This invitation was used already. You can sign in with the password that was chosen then.",
        "state": "accepted",
        "usable": False,
    },
    ("invitation_sent.html", "first"): {},
    ("sign_up.html", "first"): SIGN_UP,
    ("sign_up.html", "from"): {
        **SIGN_UP,
        "client": "c1",
        "txn": "t" * 32,
        "app": "Claims service",
        "domains": ("clinic.example.org", "labs.example.org"),
        "approval": False,
    },
    ("sign_up.html", "error"): {**SIGN_UP, "email": "maren@", "error": "This is not an e-mail address."},
    ("sign_up.html", "sent"): {**SIGN_UP, "sent": True},
    ("sign_up_confirm.html", "first"): SIGN_UP_CONFIRM,
    ("sign_up_confirm.html", "at_once"): {**SIGN_UP_CONFIRM, "approval": False},
    ("sign_up_confirm.html", "error"): {**SIGN_UP_CONFIRM, "error": "The name is missing."},
    ("sign_up_dead.html", "error"): {},
    ("sign_up_waiting.html", "first"): {},
    ("signed_out.html", "first"): {"client_name": None, "return_url": None, "frames": []},
    ("signed_out.html", "frames"): {
        "client_name": None,
        "return_url": None,
        "frames": ["https://rounds.example.org/logout?iss=https%3A%2F%2Fid.example.org&sid=s1"],
    },
    ("signed_out.html", "return"): {
        "client_name": "Claims service",
        "return_url": "https://claims.example.org/",
        "frames": [],
    },
    ("end_session.html", "first"): END,
    ("end_session.html", "nobody"): {"client_name": None, "display_name": None, "hidden": {}},
    ("home.html", "first"): HOME,
    ("home.html", "full"): {**HOME, "elsewhere": 2, "notice": "Your password is changed."},
    ("home.html", "empty"): {**HOME, "apps": [], "recent": [], "codes_left": 1},
    ("error.html", "error"): {
        "status_code": 503,
        "headline": "Signing in is not possible just now",
        "message": "A part that keeps sign-ins safe does not answer, so we let nobody in for the moment.",
        "remedy": "Wait a minute, then open the service again. Nothing you did is lost.",
    },
    ("request_gone.html", "error"): {"client_name": "Claims service", "door": "https://claims.example.org/"},
    ("request_gone.html", "error-no-door"): {"client_name": "Claims service", "door": None},
    ("form_post.html", "first"): {
        "action": "https://claims.example.org/cb",
        "fields": {"code": "c1", "state": '"><script>alert(1)</script>', "submit": "x"},
    },
    ("form_post.html", "refused"): {
        "action": "https://claims.example.org/cb",
        "fields": {"error": "access_denied", "state": "s1"},
    },
    ("form_post.html", "sealed"): {"action": "https://claims.example.org/cb", "fields": {"response": "j1"}},
    ("language.html", "first"): {"languages": {"en": "English", "es": "Español"}, "back": "/login?flow=f1"},
    ("help.html", "first"): {
        "password_rules": PASSWORD_RULES,
        "browsers": [
            "Chrome and Edge, current and previous version",
            "Firefox, current and previous version",
            "Safari 17 or newer",
        ],
    },
    ("demo_mailbox.html", "first"): {
        "mails": [MAIL, {**MAIL, "subject": "Your username"}],
        "codes": [
            {
                "display_name": "Dr. Maren Oduya",
                "username": USER.username,
                "code": "492 039",
                "seconds_left": 17,
            },
            {"display_name": "Tomas Lindqvist", "username": "t.lindqvist", "code": "118 402", "seconds_left": 17},
        ],
        "urls": [
            {"name": "Claims service", "url": "http://localhost:8001/"},
            {"name": "Patient service", "url": "http://localhost:8002/"},
        ],
    },
    ("demo_mailbox.html", "empty"): {"mails": [], "codes": [], "urls": []},
}

CASES |= account_samples.CASES | security_samples.CASES | staff_samples.CASES
