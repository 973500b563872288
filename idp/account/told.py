"""The record in the words of the person whom it is about. What has no words of its own here is told as the auditor reads it."""

from __future__ import annotations

from idp.audit import Entry, Event
from idp.language import Later, lazy_gettext

KINDS: dict[str, tuple[Later, tuple[str, ...]]] = {  # what a filter is called, and the nouns of its events
    "sign-in": (lazy_gettext("Signing in and out"), ("login", "logout", "session", "step_up", "trusted_device")),
    "security": (
        lazy_gettext("Password, factors, recovery"),
        (
            "password",
            "factor",
            "recovery_code",
            "recovery_codes",
            "recovery",
            "recovery_case",
            "passkey",
            "username",
            "form",
            "limit",
        ),
    ),
    "apps": (
        lazy_gettext("Applications"),
        ("consent", "authorization", "code", "token", "device", "assertion"),
    ),
    "profile": (
        lazy_gettext("Profile and account"),
        ("user", "email", "role", "data", "activity", "invitation", "mail", "admin", "request", "workstation"),
    ),
}

_SENTENCES: dict[Event, Later] = {
    Event.ACTIVITY_DISPUTED: lazy_gettext("You said that something was not you."),
    Event.ADMIN_REFUSED: lazy_gettext("A page of the staff was not opened to you."),
    Event.ASSERTION_REDEEMED: lazy_gettext("An application received access on the word of a trusted organisation."),
    Event.AUTHORIZATION_DENIED: lazy_gettext("An application asked for you and was refused."),
    Event.AUTHORIZATION_GRANTED: lazy_gettext("You opened an application."),
    Event.CODE_REDEEMED: lazy_gettext("An application completed your sign-in."),
    Event.CODE_REPLAYED: lazy_gettext("Somebody repeated a sign-in of yours at an application; it was stopped."),
    Event.CONSENT_DENIED: lazy_gettext("You refused an application access."),
    Event.CONSENT_GRANTED: lazy_gettext("You allowed an application access."),
    Event.CONSENT_REVOKED: lazy_gettext("You took back an application's access."),
    Event.DATA_DOWNLOADED: lazy_gettext("You downloaded your data."),
    Event.DEVICE_APPROVED: lazy_gettext("You let an application on another device have access."),
    Event.DEVICE_DENIED: lazy_gettext("You refused an application on another device."),
    Event.DEVICE_REDEEMED: lazy_gettext("An application on another device received its access."),
    Event.EMAIL_CHANGED: lazy_gettext("Your e-mail addresses were changed."),
    Event.EMAIL_LINK_REFUSED: lazy_gettext("A link that proves an address was refused."),
    Event.EMAIL_VERIFIED: lazy_gettext("An e-mail address was proved to be yours."),
    Event.FACTOR_DISABLED: lazy_gettext("A second step was switched off after too many failures."),
    Event.FACTOR_ENROLLED: lazy_gettext("A second step was set up."),
    Event.FACTOR_REJECTED: lazy_gettext("A second step failed."),
    Event.FACTOR_REMOVED: lazy_gettext("A second step was removed."),
    Event.FACTOR_RENAMED: lazy_gettext("A second step got another name."),
    Event.FACTOR_VERIFIED: lazy_gettext("A second step was accepted."),
    Event.INVITATION_ACCEPTED: lazy_gettext("You accepted your invitation."),
    Event.INVITATION_REFUSED: lazy_gettext("The link of an invitation was refused."),
    Event.INVITATION_REVOKED: lazy_gettext("Your invitation was taken back."),
    Event.INVITATION_SENT: lazy_gettext("You were invited."),
    Event.FORM_REFUSED: lazy_gettext("A form from another site or browser was refused."),
    Event.LIMIT_EXCEEDED: lazy_gettext("There were too many attempts on your account."),
    Event.LOGIN_FAILED: lazy_gettext("A sign-in failed."),
    Event.LOGIN_SUCCEEDED: lazy_gettext("You signed in."),
    Event.LOGOUT_DELIVERED: lazy_gettext("An application was told that you signed out."),
    Event.LOGOUT_FAILED: lazy_gettext("An application could not be told that you signed out."),
    Event.LOGOUT_REQUESTED: lazy_gettext("You signed out."),
    Event.MAIL_FAILED: lazy_gettext("A mail to you could not be delivered."),
    Event.MAIL_SENT: lazy_gettext("A mail was sent to you."),
    Event.PASSKEY_COUNT_REGRESSED: lazy_gettext("A passkey counted backwards: somebody may have copied it."),
    Event.PASSWORD_BELOW_POLICY: lazy_gettext("Your password falls short of the present rules."),
    Event.PASSWORD_CHANGED: lazy_gettext("Your password was changed."),
    Event.PASSWORD_COMPROMISED: lazy_gettext("Your password is one that attackers try; you have to replace it."),
    Event.PASSWORD_IMPORTED: lazy_gettext("Your password was taken over from a former system."),
    Event.PASSWORD_ISSUED: lazy_gettext("You received a temporary password."),
    Event.PASSWORD_REHASHED: lazy_gettext("Your password is now stored in a stronger form."),
    Event.PASSWORD_REJECTED: lazy_gettext("A password was refused."),
    Event.PASSWORD_RESET: lazy_gettext("Your password was replaced through recovery."),
    Event.PASSWORD_SET: lazy_gettext("Your first password was set."),
    Event.PASSWORD_UNREADABLE: lazy_gettext("Your stored password could not be read; a sign-in was refused."),
    Event.PASSWORD_VERIFIED: lazy_gettext("Your password was accepted."),
    Event.RECOVERY_CASE_APPROVED: lazy_gettext("A second person agreed that the service desk lets you back in."),
    Event.RECOVERY_CASE_DENIED: lazy_gettext("The service desk did not let you back in."),
    Event.RECOVERY_CASE_EXPIRED: lazy_gettext("The service desk's help ran out of time."),
    Event.RECOVERY_CASE_ISSUED: lazy_gettext("The service desk gave you a temporary code."),
    Event.RECOVERY_CASE_OPENED: lazy_gettext("The service desk began to let you back in."),
    Event.RECOVERY_CASE_STOPPED: lazy_gettext("The service desk's help was stopped."),
    Event.RECOVERY_CASE_USED: lazy_gettext("You used a temporary code of the service desk."),
    Event.RECOVERY_CODE_USED: lazy_gettext("A recovery code was used."),
    Event.RECOVERY_CODES_ISSUED: lazy_gettext("You received new recovery codes."),
    Event.RECOVERY_COMPLETED: lazy_gettext("You got back in and replaced your password."),
    Event.RECOVERY_REFUSED: lazy_gettext("A recovery link was refused."),
    Event.RECOVERY_REQUESTED: lazy_gettext("Somebody asked for a way back into your account."),
    Event.REFRESH_TOKEN_REUSED: lazy_gettext("An application's old key came back; its access was ended."),
    Event.RECOVERY_REVIEWED: lazy_gettext("You looked through what was added lately."),
    Event.REQUEST_REFUSED: lazy_gettext("A forged or malformed request was refused."),
    Event.ROLE_GRANTED: lazy_gettext("You received a role."),
    Event.ROLE_REVOKED: lazy_gettext("You lost a role."),
    Event.SESSION_ENDED: lazy_gettext("A session of yours ended."),
    Event.SESSION_LOCKED: lazy_gettext("You locked a shared workstation."),
    Event.SESSION_PRESENTED: lazy_gettext("You opened another application without signing in again."),
    Event.SESSION_RENEWED: lazy_gettext("You proved again who you are."),
    Event.SESSION_STARTED: lazy_gettext("A session of yours began."),
    Event.STEP_UP_REQUIRED: lazy_gettext("An application asked you to prove again who you are."),
    Event.SPRAY_SUSPECTED: lazy_gettext("One password was tried on many accounts, yours among them."),
    Event.TOKEN_EXCHANGED: lazy_gettext("An application passed your access on to another one."),
    Event.TOKEN_ISSUED: lazy_gettext("An application received access to your account."),
    Event.TOKEN_REFRESHED: lazy_gettext("An application renewed its access to your account."),
    Event.TOKEN_REFUSED: lazy_gettext("An application's request for access was refused."),
    Event.TOKEN_REVOKED: lazy_gettext("An application's access to your account ended."),
    Event.TRUSTED_DEVICE_ADDED: lazy_gettext("A browser may skip your second step for a while."),
    Event.TRUSTED_DEVICE_COPIED: lazy_gettext("Two browsers held the key of one trusted browser; both were refused."),
    Event.TRUSTED_DEVICE_ENDED: lazy_gettext("A browser asks for your second step again."),
    Event.WORKSTATION_MARKED: lazy_gettext("You made a browser a shared workstation."),
    Event.WORKSTATION_UNMARKED: lazy_gettext("You made a shared workstation an ordinary browser again."),
    Event.USER_CREATED: lazy_gettext("Your account was created."),
    Event.USER_DELETED: lazy_gettext("Your account was deleted."),
    Event.USER_DISABLED: lazy_gettext("Your account was disabled."),
    Event.USER_ENABLED: lazy_gettext("Your account was enabled."),
    Event.USER_IMPORTED: lazy_gettext("Your account was taken over from a former system."),
    Event.USER_LOCKED: lazy_gettext("Your account was locked for a while after failed attempts."),
    Event.USER_LOOKED_UP: lazy_gettext("The service desk looked at your account."),
    Event.USER_UNLOCKED: lazy_gettext("Your account was unlocked."),
    Event.USER_UPDATED: lazy_gettext("Your profile was changed."),
    Event.USERNAME_REMINDED: lazy_gettext("You were reminded of your username by mail."),
}


def sentence(entry: Entry) -> str:
    """Say what happened, to the person to whom it happened."""
    known = Event.named(entry.event)
    return str(_SENTENCES.get(known, entry.sentence)) if known else entry.sentence


def kind_of(event: str) -> str | None:
    """Return the kind that an event belongs to, or None: it is found under «everything» alone."""
    noun = event.partition(".")[0]
    return next((kind for kind, (_, nouns) in KINDS.items() if noun in nouns), None)
