"""audit.events — the vocabulary: every event that the trail can hold, with its sentence for the auditor.

A new event is one line here and one `audit.record(Event.…)` where it happens. Values read `noun.past_verb`. The number is the OCSF
`type_uid` (class × 100 + activity; 99 is «other»): 3001 account change, 3002 authentication, 3004 entity management, 3005 user access.
`failure` is the outcome that an event has unless the caller says otherwise; `alarm` asks a person to look.
"""

from __future__ import annotations

from enum import StrEnum

SUCCESS = "success"
FAILURE = "failure"


class Event(StrEnum):
    """What can have happened. Members compare and store as their text."""

    ocsf: int
    sentence: str
    outcome: str
    alarm: bool

    def __new__(cls, value: str, ocsf: int, sentence: str, outcome: str = SUCCESS, alarm: bool = False) -> Event:
        """Give the text its sentence, its OCSF number and its usual outcome."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.ocsf, member.sentence, member.outcome, member.alarm = ocsf, sentence, outcome, alarm
        return member

    @classmethod
    def named(cls, name: str) -> Event | None:
        """Return the event of that name; None for one that an older or newer version wrote."""
        return next((event for event in cls if event.value == name), None)

    # --- the trail itself
    AUDIT_EXPORTED = "audit.exported", 300402, "Audit events were exported."
    AUDIT_SEARCHED = "audit.searched", 300402, "Audit events were read."
    AUDIT_VERIFIED = "audit.verified", 300402, "The audit chain was checked from its first event to its last."
    CLOCK_STEPPED_BACK = (
        "clock.stepped_back",
        300499,
        "An event is older than the one before it by over a minute.",
        FAILURE,
        True,
    )

    # --- a person and their own record
    ACTIVITY_DISPUTED = (
        "activity.disputed",
        300299,
        "A person says that something in their own record was not them.",
        FAILURE,
        True,
    )
    DATA_DOWNLOADED = "data.downloaded", 300402, "A person downloaded what is held about them."

    # --- authorization and consent
    ASSERTION_REDEEMED = (
        "assertion.redeemed",
        300203,
        "An application received a token for a person on the word of a trusted issuer.",
    )
    AUTHORIZATION_DENIED = (
        "authorization.denied",
        300599,
        "An application's authorization request was refused.",
        FAILURE,
    )
    AUTHORIZATION_GRANTED = (
        "authorization.granted",
        300204,
        "An application received an authorization code for a person.",
    )
    AUTHORIZATION_PUSHED = "authorization.pushed", 300299, "An application pushed an authorization request."
    CODE_REDEEMED = "code.redeemed", 300203, "An application redeemed an authorization code."
    CODE_REPLAYED = "code.replayed", 300203, "An authorization code was presented a second time.", FAILURE, True
    CONSENT_DENIED = "consent.denied", 300599, "A person refused an application access.", FAILURE
    CONSENT_GRANTED = "consent.granted", 300501, "A person allowed an application access."
    CONSENT_REVOKED = "consent.revoked", 300502, "A person's consent to an application was withdrawn."

    # --- applications
    CLIENT_AUTHENTICATED = "client.authenticated", 300203, "An application proved its identity."
    CLIENT_CREATED = "client.created", 300401, "An application was registered."
    CLIENT_DELETED = "client.deleted", 300404, "An application was removed."
    CLIENT_REJECTED = "client.rejected", 300203, "An application failed to prove its identity.", FAILURE
    CLIENT_SECRET_ROTATED = "client.secret_rotated", 300403, "An application received a new secret."
    CLIENT_UPDATED = "client.updated", 300403, "An application's registration was changed."
    REGISTRATION_REFUSED = "registration.refused", 300401, "An application failed to register itself.", FAILURE
    REGISTRATION_TOKEN_CREATED = (
        "registration_token.created",
        300401,
        "A token for the registration of applications was made.",
    )
    REGISTRATION_TOKEN_REVOKED = (
        "registration_token.revoked",
        300404,
        "A token for the registration of applications was withdrawn.",
    )

    # --- devices (RFC 8628)
    DEVICE_APPROVED = "device.approved", 300501, "A person let an application on a device have access."
    DEVICE_CODE_REJECTED = "device.code_rejected", 300599, "Letters that no device shows were typed.", FAILURE
    DEVICE_DENIED = "device.denied", 300599, "A person refused an application on a device.", FAILURE
    DEVICE_REDEEMED = "device.redeemed", 300203, "An application on a device received its tokens."
    DEVICE_STARTED = "device.started", 300599, "An application on a device asked for a person's access."

    # --- factors
    FACTOR_DISABLED = (
        "factor.disabled",
        300111,
        "A factor was disabled after too many failures in a row.",
        FAILURE,
        True,
    )
    FACTOR_ENROLLED = "factor.enrolled", 300110, "A person enrolled a factor."
    FACTOR_REMOVED = "factor.removed", 300111, "A person's factor was removed."
    FACTOR_RENAMED = "factor.renamed", 300403, "A person gave a factor of theirs another name."
    FACTOR_REJECTED = "factor.rejected", 300206, "A second factor was refused.", FAILURE
    FACTOR_VERIFIED = "factor.verified", 300206, "A second factor was accepted."
    PASSKEY_COUNT_REGRESSED = (
        "passkey.count_regressed",
        300206,
        "A passkey counted backwards: it may have been copied.",
        FAILURE,
        True,
    )
    RECOVERY_CODE_USED = "recovery_code.used", 300206, "A recovery code was spent."
    RECOVERY_CODES_ISSUED = "recovery_codes.issued", 300110, "A person received a new set of recovery codes."

    # --- trusted devices (a deviation: NIST SP 800-63B-4, 5.1)
    TRUSTED_DEVICE_ADDED = (
        "trusted_device.added",
        300110,
        "A person chose that one browser skips the second factor for a while.",
    )
    TRUSTED_DEVICE_COPIED = (
        "trusted_device.copied",
        300206,
        "Two browsers held the cookie of one trusted device.",
        FAILURE,
        True,
    )
    TRUSTED_DEVICE_ENDED = "trusted_device.ended", 300111, "A browser asks for the second factor again."

    # --- coming in
    ACCOUNT_REQUEST_APPROVED = "account_request.approved", 300199, "Somebody agreed to a request for an account."
    ACCOUNT_REQUEST_CONFIRMED = (
        "account_request.confirmed",
        300199,
        "A stranger proved an address and asked for an account.",
    )
    ACCOUNT_REQUEST_DENIED = "account_request.denied", 300199, "Somebody refused a request for an account."
    ACCOUNT_REQUEST_REFUSED = (
        "account_request.refused",
        300199,
        "A link of a request for an account was refused.",
        FAILURE,
    )
    ACCOUNT_REQUEST_STARTED = "account_request.started", 300199, "A stranger gave an address to get an account."
    INVITATION_ACCEPTED = "invitation.accepted", 300199, "An invited person set their first password."
    INVITATION_REFUSED = "invitation.refused", 300199, "An invitation's link was refused.", FAILURE
    INVITATION_REVOKED = "invitation.revoked", 300199, "An invitation was taken back."
    INVITATION_SENT = "invitation.sent", 300199, "A person was invited to set a first password."

    # --- installation
    CONFIG_CHANGED = "config.changed", 300403, "A setting that matters for security was changed."
    ERROR_RAISED = "error.raised", 300299, "An unexpected error ended a request.", FAILURE, True
    MAIL_FAILED = "mail.failed", 300499, "A mail could not be delivered.", FAILURE
    MAIL_SENT = "mail.sent", 300499, "A mail was handed to the mail server."
    REQUEST_REFUSED = "request.refused", 300299, "A forged or malformed request was refused.", FAILURE
    SERVER_STARTED = "server.started", 300499, "The server started."
    SERVER_STOPPED = "server.stopped", 300499, "The server stopped."

    # --- signing keys
    KEY_ACTIVATED = "key.activated", 300403, "A signing key began to sign."
    KEY_CREATED = "key.created", 300401, "A signing key was made and published."
    KEY_RETIRED = "key.retired", 300404, "A signing key left the published set; its private half was destroyed."
    KEY_ROTATED = "key.rotated", 300403, "A signing key gave way to its successor and stays published for a while."

    # --- limits
    FORM_REFUSED = "form.refused", 300299, "A form came from another site or browser, and was refused.", FAILURE
    LIMIT_EXCEEDED = "limit.exceeded", 300299, "Attempts came too often and were refused.", FAILURE
    USER_LOCKED = "user.locked", 300109, "An account was locked for a while after repeated failures.", FAILURE
    USER_UNLOCKED = "user.unlocked", 300112, "An account was unlocked."

    # --- passwords
    PASSWORD_BELOW_POLICY = (
        "password.below_policy",
        300206,
        "A password falls short of the present rules; its person was told.",
    )
    PASSWORD_COMPROMISED = (
        "password.compromised",
        300104,
        "A password that attackers would try was used; it must be replaced before its person goes on.",
        SUCCESS,
        True,
    )
    PASSWORD_CHANGED = "password.changed", 300103, "A person changed their password."
    PASSWORD_IMPORTED = "password.imported", 300103, "A password hash of another system was taken over."
    PASSWORD_ISSUED = "password.issued", 300104, "A person received a temporary password from somebody else."
    PASSWORD_REHASHED = "password.rehashed", 300103, "A password hash was brought up to the present strength."
    PASSWORD_REJECTED = "password.rejected", 300206, "A password was refused.", FAILURE
    PASSWORD_RESET = "password.reset", 300104, "A password was replaced through recovery."
    PASSWORD_SET = "password.set", 300103, "A person chose their first password."
    PASSWORD_UNREADABLE = (
        "password.unreadable",
        300206,
        "A stored password hash could not be read; the sign-in was refused.",
        FAILURE,
        True,
    )
    PASSWORD_VERIFIED = "password.verified", 300206, "A password was accepted."

    # --- people
    EMAIL_CHANGED = "email.changed", 300403, "A person's addresses were changed."
    EMAIL_LINK_REFUSED = "email.link_refused", 300403, "A link that proves an address was refused.", FAILURE
    EMAIL_VERIFIED = "email.verified", 300403, "A person proved that an address is theirs."
    ROLE_GRANTED = "role.granted", 300503, "A person received a role."
    ROLE_REVOKED = "role.revoked", 300504, "A person lost a role."
    USER_CREATED = "user.created", 300101, "An account was created."
    USER_DELETED = "user.deleted", 300106, "An account was deleted."
    USER_DISABLED = "user.disabled", 300105, "An account was disabled."
    USER_ENABLED = "user.enabled", 300102, "An account was enabled."
    USER_IMPORTED = "user.imported", 300101, "An account was imported from another system."
    USER_UPDATED = "user.updated", 300403, "A person's profile was changed."

    # --- recovery
    RECOVERY_CASE_APPROVED = "recovery_case.approved", 300104, "A second person agreed to a help-desk recovery."
    RECOVERY_CASE_DENIED = "recovery_case.denied", 300104, "A help-desk recovery was refused.", FAILURE
    RECOVERY_CASE_EXPIRED = "recovery_case.expired", 300104, "A help-desk recovery was not finished in time.", FAILURE
    RECOVERY_CASE_ISSUED = "recovery_case.code_issued", 300104, "The help desk gave out a temporary code."
    RECOVERY_CASE_OPENED = "recovery_case.opened", 300104, "The help desk began to let a person back in."
    RECOVERY_CASE_STOPPED = "recovery_case.stopped", 300104, "A help-desk recovery was stopped.", FAILURE, True
    RECOVERY_CASE_USED = "recovery_case.used", 300104, "A person used the temporary code of the help desk."
    RECOVERY_COMPLETED = "recovery.completed", 300104, "A person got back in and replaced their password."
    RECOVERY_REFUSED = "recovery.refused", 300104, "A recovery link was refused.", FAILURE
    RECOVERY_REQUESTED = "recovery.requested", 300104, "Somebody asked for a way back in."
    RECOVERY_REVIEWED = "recovery.reviewed", 300104, "After a recovery a person looked through what was added lately."
    USERNAME_REMINDED = "username.reminded", 300104, "A person was reminded of their username by mail."

    # --- the staff's pages
    ADMIN_REFUSED = "admin.refused", 300599, "A page of the staff was refused to somebody without the role.", FAILURE
    USER_LOOKED_UP = "user.looked_up", 300599, "Somebody of the staff looked for a person, or at one."

    # --- signing in and out
    LOGIN_FAILED = "login.failed", 300201, "A sign-in failed.", FAILURE
    LOGIN_STARTED = "login.started", 300206, "A sign-in began."
    SPRAY_SUSPECTED = (
        "limit.spray_suspected",
        300299,
        "One password was tried on many accounts, or unusually many accounts failed.",
        FAILURE,
        True,
    )
    LOGIN_SUCCEEDED = "login.succeeded", 300201, "A person signed in."
    LOGOUT_DELIVERED = "logout.delivered", 300202, "An application was told that a session ended."
    LOGOUT_FAILED = "logout.failed", 300202, "An application could not be told that a session ended.", FAILURE
    LOGOUT_REQUESTED = "logout.requested", 300202, "A person or an application asked to sign out."
    SESSION_ENDED = "session.ended", 300202, "A session ended."
    SESSION_LOCKED = "session.locked", 300202, "A person locked a shared workstation; the session waits for them."
    SESSION_PRESENTED = "session.presented", 300204, "A session opened another application without a new sign-in."
    SESSION_RENEWED = "session.renewed", 300201, "A session was renewed after a stronger or fresh proof."
    SESSION_STARTED = "session.started", 300201, "A session began."
    STEP_UP_REQUIRED = "step_up.required", 300206, "An application demanded a stronger or fresher proof."

    # --- shared workstations
    WORKSTATION_MARKED = "workstation.marked", 300401, "A browser was made a shared workstation."
    WORKSTATION_UNMARKED = "workstation.unmarked", 300404, "A browser stopped being a shared workstation."

    # --- tokens
    REFRESH_TOKEN_REUSED = "token.refresh_reused", 300205, "A replaced refresh token came back.", FAILURE, True
    TOKEN_EXCHANGED = "token.exchanged", 300203, "An application received a token in exchange for a person's."
    TOKEN_INTROSPECTED = "token.introspected", 300299, "A protected resource asked about a token."
    TOKEN_ISSUED = "token.issued", 300203, "An application received tokens."
    TOKEN_REFRESHED = "token.refreshed", 300205, "An application renewed its tokens."
    TOKEN_REFUSED = "token.refused", 300203, "A token request was refused.", FAILURE
    TOKEN_REVOKED = "token.revoked", 300299, "Tokens were revoked."
