"""passkey — credentials of WebAuthn Level 3, as the first factor and as the second. Only this file imports `webauthn`.

passkey_wire.py        what browsers send, and what is wrong with it apart from signatures
passkey_challenge.py   challenges, in Redis
passkey_store.py       rows
passkey_models.py      models of authenticators
passkey_signals.py     what browsers may tell authenticators

The library verifies signatures, flags and attestation statements. What it leaves to its caller is here (C-19): a challenge that counts
once, crossOrigin and topOrigin, the user handle, whose credential it is, the immutable backup flag, and the sign count, claimed by one
conditional UPDATE after everything else was checked (C-21, C-28). Whatever is wrong, the person hears the same (C-24); the audit
hears the reason.

RP ID and origin are those of the configured issuer and nothing else. A passkey whose authenticator verified the person is two factors by
itself; one that did not is something had (C-29). `hwk` is bound to one device, `swk` can be synced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from idp import audit, clock, crypto
from idp.authn import notices, proofs
from idp.authn.factors import passkey_challenge as challenges
from idp.authn.factors import passkey_store as store
from idp.authn.factors.base import Accepted, Authenticator, Outcome, Refused, checked_label, holds
from idp.authn.factors.passkey_challenge import CREATE, FIRST, SECOND
from idp.authn.factors.passkey_models import certified, first_name
from idp.authn.factors.passkey_signals import note_removed, rp_id
from idp.authn.factors.passkey_signals import signals as signals
from idp.authn.factors.passkey_store import Passkey
from idp.authn.factors.passkey_wire import Json, decoded, objection_to_client, objection_to_flags, parsed, transports
from idp.config import settings
from idp.language import gettext, lazy_gettext
from idp.record import Record
from idp.users import User

if TYPE_CHECKING:
    from webauthn.authentication.verify_authentication_response import VerifiedAuthentication
    from webauthn.registration.verify_registration_response import VerifiedRegistration

name = "passkey"
label = lazy_gettext("Use a passkey")
amr: tuple[str, ...] = ("hwk",)  # at the least; what an attempt proved is told by Accepted.amr
lasting = True

MOST = 20  # of one person


class Identified(Record):
    """The person whose passkey this was, and what it proved (RFC 8176)."""

    user: User
    amr: tuple[str, ...]
    authenticator: str  # its public id


class Enrolled(Record):
    """A new passkey, and what its enrolment proved."""

    passkey: Passkey
    amr: tuple[str, ...]


# --- enrolment -----------------------------------------------------------------------------------------------


def creation_options(user: User, flow_id: str, *, replaces: str | None = None) -> Json:
    """Begin an enrolment: what `navigator.credentials.create` needs, as JSON. Attestation is asked for only where it is judged.

    Authenticators that hold a passkey of the person are excluded, but for the one that the new passkey `replaces`.
    """
    import webauthn
    from webauthn.helpers import options_to_json_dict
    from webauthn.helpers import structs as w

    judged = bool(settings().factors.passkey_aaguids)
    conveyance, preference = w.AttestationConveyancePreference, w.UserVerificationRequirement.PREFERRED
    options = webauthn.generate_registration_options(
        rp_id=rp_id(),
        rp_name=rp_id(),
        user_id=store.handle_of(user),
        user_name=user.username,
        user_display_name=user.display_name,
        challenge=challenges.begin(CREATE, flow_id, sub=user.sub),
        timeout=challenges.CEREMONY_S * 1000,
        attestation=conveyance.DIRECT if judged else conveyance.NONE,
        authenticator_selection=w.AuthenticatorSelectionCriteria(
            resident_key=w.ResidentKeyRequirement.PREFERRED, user_verification=preference
        ),
        exclude_credentials=_descriptors([one for one in store.of(user) if one.public_id != replaces]),
    )
    return options_to_json_dict(options)


def enrol(user: User, flow_id: str, raw: str) -> Enrolled | Refused:
    """Judge what an authenticator answered to `creation_options`, and keep the passkey; its person hears of it by mail (N-20)."""
    challenge = challenges.take(CREATE, flow_id, sub=user.sub)
    sent = parsed(raw)
    if challenge is None or sent is None:
        return Refused("unknown_challenge" if challenge is None else "malformed")
    objection = objection_to_client(sent, "webauthn.create")
    verified = None if objection else _registration(sent, challenge)
    if verified is None or len(verified.credential_id) > store.MOST_ID_BYTES:
        return Refused(objection or "not_verified")
    if not _model_allowed(verified):
        return Refused("model_not_allowed")
    if len(store.of(user)) >= MOST:
        return Refused("too_many")
    made = _made(user, verified, transports(sent))
    if not store.add(made):
        return Refused("enrolled_already")
    _announce(user, made)
    return Enrolled(made, _amr(synced=made.backup_eligible, user_verified=verified.user_verified))


def _made(user: User, verified: VerifiedRegistration, named: list[str]) -> Passkey:
    synced = verified.credential_device_type.value == "multi_device"
    return Passkey(
        user_id=user.id,
        public_id=crypto.uuid7(),
        label=first_name(verified.aaguid, named, {one.label for one in store.of(user)}),
        webauthn_id=verified.credential_id,
        public_key=verified.credential_public_key,
        sign_count=verified.sign_count,
        aaguid=verified.aaguid,
        attestation=str(verified.fmt)[:32],
        backup_eligible=synced,
        backed_up=verified.credential_backed_up,
        uv_initialized=verified.user_verified,
        transports=" ".join(named),
        created_at=clock.now(),
    )


def _announce(user: User, made: Passkey) -> None:
    audit.record(
        audit.Event.FACTOR_ENROLLED,
        subject=user.sub,
        actor=user.sub,
        factor=name,
        authenticator=made.public_id,
        aaguid=made.aaguid,
        attestation=made.attestation,
        backup_eligible=made.backup_eligible,
        backed_up=made.backed_up,
        user_verified=made.uv_initialized,
        transports=made.transports,
    )
    notices.tell(user, "passkey_enrolled", label=made.label, synced=made.backup_eligible)


# --- proof ---------------------------------------------------------------------------------------------------


def request_options(flow_id: str, *, user: User | None = None) -> Json:
    """Begin a proof: what `navigator.credentials.get` needs, as JSON.

    Without a person nothing is allowed by name, so nobody learns who has a passkey, and the authenticator must verify its person
    (C-18, C-23). With one, after a password, only their passkeys are.
    """
    import webauthn
    from webauthn.helpers import options_to_json_dict
    from webauthn.helpers.structs import UserVerificationRequirement as Verification

    ceremony, sub = (SECOND, user.sub) if user else (FIRST, "")
    options = webauthn.generate_authentication_options(
        rp_id=rp_id(),
        challenge=challenges.begin(ceremony, flow_id, sub=sub),
        timeout=challenges.CEREMONY_S * 1000,
        allow_credentials=_descriptors(_usable(user)) if user else [],
        user_verification=Verification.PREFERRED if user else Verification.REQUIRED,
    )
    return options_to_json_dict(options)


def identify(flow_id: str, raw: str) -> Identified | Refused:
    """Say whose passkey this is: the first factor, and with it the second. Who may sign in is for the caller to ask."""
    challenge = challenges.take(FIRST, flow_id)
    sent = parsed(raw)
    if challenge is None or sent is None:
        return Refused("unknown_challenge" if challenge is None else "malformed")
    found = store.find(decoded(sent["rawId"]))
    if found is None:
        return Refused("unknown_authenticator")
    known, user = found
    if decoded(sent["response"].get("userHandle")) != store.find_handle(user):
        return Refused("wrong_user_handle")
    outcome = _judged(known, user, sent, challenge, verify_user=True)
    return outcome if isinstance(outcome, Refused) else Identified(user, outcome.amr, known.public_id)


def verify(user: User, form: Mapping[str, str]) -> Outcome:
    """Judge a proof with one of this person's passkeys. `form` holds `flow`, to which its challenge belongs."""
    challenge = challenges.take(SECOND, form.get("flow", ""), sub=user.sub)
    sent = parsed(form.get("credential", ""))
    if challenge is None or sent is None:
        return Refused("unknown_challenge" if challenge is None else "malformed")
    wanted = decoded(sent["rawId"])
    known = next((one for one in _usable(user) if one.webauthn_id == wanted), None)
    if known is None:
        return Refused("unknown_authenticator")
    handle = sent["response"].get("userHandle")
    if handle and decoded(handle) != store.find_handle(user):
        return Refused("wrong_user_handle")
    return _judged(known, user, sent, challenge, verify_user=False)


def _judged(known: Passkey, user: User, sent: Json, challenge: bytes, *, verify_user: bool) -> Accepted | Refused:
    """Everything that holds for both ceremonies; the count is claimed last."""
    objection = objection_to_client(sent, "webauthn.get") or objection_to_flags(
        sent, backup_eligible=known.backup_eligible, verify_user=verify_user
    )
    verified = None if objection else _assertion(known, sent, challenge, verify_user=verify_user)
    if verified is None:
        return Refused(objection or "not_verified")
    if not _counted(known, user, verified):
        return Refused("count_regressed")
    return Accepted(_amr(synced=known.backup_eligible, user_verified=verified.user_verified), known.public_id)


def _counted(known: Passkey, user: User, verified: VerifiedAuthentication) -> bool:
    """Claim the sign count. One that did not grow may mean a copied key, or an odd authenticator: an alarm, and the settings decide."""
    count, backed_up = verified.new_sign_count, verified.credential_backed_up
    if store.claim_count(known, count, backed_up=backed_up):
        return True
    passes = settings().factors.passkey_count_regression == "report"
    audit.record(
        audit.Event.PASSKEY_COUNT_REGRESSED,
        subject=user.sub,
        outcome=audit.SUCCESS if passes else audit.FAILURE,
        authenticator=known.public_id,
        count=count,
        kept_count=known.sign_count,
    )
    return passes and store.note_use(known, backed_up=backed_up)


# --- what the person has bound -------------------------------------------------------------------------------


def enrolled(user: User) -> bool:
    """Say whether the person has a passkey that is not disabled."""
    return holds(enrolled_clause, user)


def bound(user: User) -> bool:
    """Say whether the person has one, even if it is disabled."""
    return holds(bound_clause, user)


enrolled_clause, bound_clause = store.has_usable, store.has_any


def usable(user: User, public_id: str) -> bool:
    """Say whether this person still has this passkey, and it is not disabled."""
    return any(one.public_id == public_id for one in _usable(user))


def challenge(user: User) -> dict[str, object]:
    """Nothing beyond the common values: the page's script asks for the challenge."""
    return {}


def authenticators(user: User) -> list[Authenticator]:
    """Return the person's passkeys, disabled ones included, the oldest first."""
    return [
        Authenticator(name, one.public_id, one.label, one.created_at, one.last_used_at, one.disabled_at, _detail(one))
        for one in store.of(user)
    ]


def rename(user: User, public_id: str, label: str) -> bool:
    """Give a passkey another name. False: this person has none of that id. Raises BadInput for a name that cannot be kept."""
    if not store.rename(user, public_id, checked_label(label)):
        return False
    audit.record(audit.Event.FACTOR_RENAMED, subject=user.sub, actor=user.sub, factor=name, authenticator=public_id)
    return True


def remove(user: User, public_id: str, *, actor: str | None, reason: str | None = None) -> bool:
    """Forget a passkey. False: this person has none of that id; of many who try, one hears True."""
    gone = store.remove(user, public_id)
    if gone is None:
        return False
    proofs.revoke(user.sub)
    note_removed(user, gone)
    audit.record(
        audit.Event.FACTOR_REMOVED, subject=user.sub, actor=actor, reason=reason, factor=name, authenticator=public_id
    )
    return True


def _detail(one: Passkey) -> str:
    return gettext("Synced between your devices") if one.backup_eligible else gettext("Stays on one device")


def _usable(user: User) -> list[Passkey]:
    return [one for one in store.of(user) if one.disabled_at is None]


def _amr(*, synced: bool, user_verified: bool) -> tuple[str, ...]:
    return ("swk" if synced else "hwk", *(("user",) if user_verified else ()))


# --- the wire ------------------------------------------------------------------------------------------------


def _registration(sent: Json, challenge: bytes) -> VerifiedRegistration | None:
    """Let the library verify a registration; what it cannot read is as bad as what it refuses."""
    import webauthn

    try:
        return webauthn.verify_registration_response(
            credential=sent,
            expected_challenge=challenge,
            expected_rp_id=rp_id(),
            expected_origin=settings().server.issuer,
            require_user_verification=False,
            pem_root_certs_bytes_by_fmt=_roots(),
        )
    except Exception:  # its own errors, and those of half a dozen parsers beneath it
        return None


def _assertion(known: Passkey, sent: Json, challenge: bytes, *, verify_user: bool) -> VerifiedAuthentication | None:
    """Let the library verify an assertion. It is told no count: a regression is judged by us (C-21)."""
    import webauthn

    try:
        return webauthn.verify_authentication_response(
            credential=sent,
            expected_challenge=challenge,
            expected_rp_id=rp_id(),
            expected_origin=settings().server.issuer,
            credential_public_key=known.public_key,
            credential_current_sign_count=0,
            require_user_verification=verify_user,
        )
    except Exception:  # as above
        return None


def _descriptors(passkeys: Sequence[Passkey]) -> list[Any]:
    from webauthn.helpers.structs import AuthenticatorTransport, PublicKeyCredentialDescriptor

    return [
        PublicKeyCredentialDescriptor(
            id=one.webauthn_id, transports=[AuthenticatorTransport(value) for value in one.transports.split()]
        )
        for one in passkeys
    ]


# --- attestation, where the settings name models (enterprise; N-16, C-22) -----------------------------------------


def _roots() -> dict[Any, list[bytes]] | None:
    """Return the certificates that vouch for models, for every format of statement that carries a chain."""
    from webauthn.helpers.structs import AttestationFormat

    if not settings().factors.passkey_aaguids:
        return None
    roots = [Path(file).read_bytes() for file in settings().factors.passkey_attestation_roots]
    return dict.fromkeys(AttestationFormat, roots)


def _model_allowed(verified: VerifiedRegistration) -> bool:
    """Say whether the model may be enrolled. Only a chain up to a root of ours proves a model: a statement that the
    authenticator signs with the new key itself, or none, proves nothing."""
    allowed = {aaguid.lower() for aaguid in settings().factors.passkey_aaguids}
    if not allowed:
        return True
    from webauthn.helpers import parse_attestation_object

    chain = parse_attestation_object(verified.attestation_object).att_stmt.x5c
    return chain is not None and len(chain) > 0 and verified.aaguid in allowed and certified(chain[0], verified.aaguid)
