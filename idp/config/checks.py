"""Which settings do not go together, and which must not go into production."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from idp.config import partners
from idp.config.schema import Settings
from idp.config.setting import ConfigError

_STAFF = frozenset({"administrator", "auditor", "help_desk"})
_OWN_FIELDS = frozenset(
    {
        "display_name",
        "given_name",
        "middle_name",
        "family_name",
        "nickname",
        "gender",
        "birthdate",
        "profile",
        "picture",
    }
    | {"website", "phone", "address", "locale", "zoneinfo"}
)


def problems_in_production(built: Settings) -> Iterator[tuple[str, str, str]]:
    """Yield (section, key, what is wrong and how to mend it) for settings that must not go into production."""
    if not built.server.issuer.startswith("https://"):
        yield "server", "issuer", "must start with https:// in production"
    if built.passwords.bcrypt_cost < 10:
        yield "passwords", "bcrypt_cost", "must be at least 10 in production; 12 is the default"
    if not built.passwords.min_length >= 8:
        yield "passwords", "min_length", "must be at least 8"
    if built.registration.enabled and not built.registration.approval and not built.registration.email_domains:
        yield "registration", "approval", "must be true, or email_domains name whose addresses are trusted"
    if built.mail.smtp_host and built.mail.smtp_tls == "none" and not _is_loopback(built.mail.smtp_host):
        yield "mail", "smtp_tls", 'must be "starttls" or "implicit" for a server on another machine'


def problems_anywhere(built: Settings) -> Iterator[tuple[str, str, str]]:
    """Yield what is wrong in any mode, in the same form."""
    issuer = urlsplit(built.server.issuer)
    if issuer.scheme not in ("http", "https") or not issuer.hostname:
        yield "server", "issuer", "must be a URL such as https://login.example.org"
    elif issuer.query or issuer.fragment or issuer.username or issuer.path not in ("", "/"):
        yield "server", "issuer", "must be scheme and host only: no path, query, fragment or user"
    elif built.server.issuer.endswith("/"):
        yield "server", "issuer", "must not end with a slash"
    elif built.development and not _is_loopback(issuer.hostname):
        yield "", "mode", f"{built.mode} is for loopback issuers only (http://localhost:8000); use production"
    if bool(built.server.tls_certificate) != bool(built.server.tls_key):
        yield "server", "tls_key", "tls_certificate and tls_key go together"
    yield from _problems_of_lifetimes(built)
    yield from _problems_of_trust(built)
    yield from _problems_of_policies(built)
    yield from _problems_of_passkeys(built)
    if strangers := sorted(set(built.accounts.own_fields) - _OWN_FIELDS):
        yield "accounts", "own_fields", f"{strangers[0]} is not one of {', '.join(sorted(_OWN_FIELDS))}"
    if set(built.registration.roles) & _STAFF:
        yield "registration", "roles", f"must not hold a role of the staff: {', '.join(sorted(_STAFF))}"
    if built.factors.failure_hard_limit > 100:
        yield "factors", "failure_hard_limit", "at most 100 (NIST SP 800-63B-4, 3.2.2)"
    yield from _problems_of_recovery(built)
    if built.oauth.code_s > 60:
        yield "oauth", "code_s", "at most 60 (FAPI 2.0, OWASP ASVS 10.4.3)"
    yield from _problems_of_passwords(built)
    yield from _problems_of_algs(built)
    yield from _problems_of_statement_issuers(built)
    yield from partners.problems(built)
    yield from _problems_of_networks(built)
    yield from _problems_of_secrets(built)
    yield from _problems_of_resources(built)


def _problems_of_recovery(built: Settings) -> Iterator[tuple[str, str, str]]:
    if built.recovery.code_s > 600:
        yield "recovery", "code_s", "at most 600: a code that is read out (NIST SP 800-63B-4, section 4.2)"
    if built.recovery.case_s <= built.recovery.cool_off_s:
        yield "recovery", "case_s", "must be longer than recovery.cool_off_s, or no case could ever be finished"


def _problems_of_passwords(built: Settings) -> Iterator[tuple[str, str, str]]:
    chosen = built.passwords
    if chosen.history > 5:
        yield "passwords", "history", "at most 5: each remembered password costs a hash at every change"
    if chosen.breach_corpus and not Path(chosen.breach_corpus).is_file():
        yield "passwords", "breach_corpus", "names no file; `idp passwords corpus build` makes one"
    service = urlsplit(chosen.range_service_url)
    if chosen.range_service_url and (not service.hostname or (service.scheme != "https" and not built.development)):
        yield "passwords", "range_service_url", "must be an https URL, such as https://ranges.example.org/range"


MOST_IDLE_S, MOST_ABSOLUTE_S = 3600, 86400  # NIST SP 800-63B-4 section 2.2.3 (AAL2), standards X-12
MOST_TRUSTED_S = 30 * 86400
FACTOR_NAMES = ("passkey", "totp")
_TOO_LONG = (
    "at most 3600 s idle and 86400 s in all (NIST SP 800-63B-4, AAL2); sessions.allow_longer = true accepts more"
)


def _problems_of_lifetimes(built: Settings) -> Iterator[tuple[str, str, str]]:
    if built.sessions.allow_longer:
        return
    for section, entries in (("sessions", (built.sessions,)), ("policies", built.policies)):
        for entry in entries:
            if (entry.idle_s or 0) > MOST_IDLE_S:
                yield section, "idle_s", _TOO_LONG
            if (entry.absolute_s or 0) > MOST_ABSOLUTE_S:
                yield section, "absolute_s", _TOO_LONG


def _problems_of_trust(built: Settings) -> Iterator[tuple[str, str, str]]:
    for section, entries in (("factors", (built.factors,)), ("policies", built.policies)):
        if any((entry.trusted_device_s or 0) > MOST_TRUSTED_S for entry in entries):
            yield section, "trusted_device_s", f"at most {MOST_TRUSTED_S} s (30 days); 0, never, is what NIST demands"


def _problems_of_policies(built: Settings) -> Iterator[tuple[str, str, str]]:
    yield from _problems_of_factors("factors", "allowed", built.factors.allowed, built.factors.min_acr)
    seen: set[str] = set()
    for policy in built.policies:
        if not policy.roles:
            yield "policies", "", 'must name the roles that the table is for: roles = ["physician"]'
        for role in policy.roles:
            if role in seen:
                yield "policies", "roles", f"{role} stands in two tables; put everything about a role into one"
            seen.add(role)
        allowed = built.factors.allowed if policy.factors is None else policy.factors
        yield from _problems_of_factors("policies", "factors", allowed, policy.min_acr or built.factors.min_acr)
        if (policy.history or 0) > 5:
            yield "policies", "history", "at most 5: each remembered password costs a hash at every change"


def _problems_of_factors(section: str, key: str, allowed: tuple[str, ...], acr: str) -> Iterator[tuple[str, str, str]]:
    if not allowed or any(name not in FACTOR_NAMES for name in allowed):
        yield section, key, f"must name some of {', '.join(FACTOR_NAMES)}"
    elif acr == "urn:idp:acr:phr" and "passkey" not in allowed:
        yield section, key, "must hold passkey where min_acr is urn:idp:acr:phr: nothing else reaches it"


_AAGUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def _problems_of_passkeys(built: Settings) -> Iterator[tuple[str, str, str]]:
    factors = built.factors
    if not all(_AAGUID.fullmatch(aaguid) for aaguid in factors.passkey_aaguids):
        yield "factors", "passkey_aaguids", 'must hold AAGUIDs such as "ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4"'
    if factors.passkey_aaguids and not factors.passkey_attestation_roots:
        yield "factors", "passkey_aaguids", "needs passkey_attestation_roots: without it a model is only a claim"
    for file in factors.passkey_attestation_roots:
        if not Path(file).is_file():
            yield "factors", "passkey_attestation_roots", f"{file} is not there or cannot be read"
    for origin in factors.passkey_related_origins:
        parts = urlsplit(origin)
        if parts.scheme != "https" or not parts.hostname or origin != f"https://{parts.netloc}":
            yield (
                "factors",
                "passkey_related_origins",
                f"{origin!r} must be an origin such as https://login.example.com",
            )


def _problems_of_statement_issuers(built: Settings) -> Iterator[tuple[str, str, str]]:
    for entry in built.oauth.software_statement_issuers:
        issuer, _, file = entry.partition(" ")
        if not issuer.startswith("https://") or not file.strip():
            told = (
                'must hold "https://issuer /path/to/jwks.json" texts: an issuer, a space, a file with its public keys'
            )
            yield "oauth", "software_statement_issuers", told


_PRIVATE_NETWORKS = tuple(
    ipaddress.ip_network(network)
    for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)


def _problems_of_networks(built: Settings) -> Iterator[tuple[str, str, str]]:
    """RFC 1918, RFC 6598, RFC 4193; never this machine's own or link-local addresses (attack 62)."""
    for entry in built.outbound.allowed_networks:
        if not _is_private_network(entry):
            told = f'{entry!r} must be a private network such as "10.20.0.0/16" or "fd12:3456::/32"'
            yield "outbound", "allowed_networks", told


def _is_private_network(entry: str) -> bool:
    try:
        network = ipaddress.ip_network(entry)
    except ValueError:
        return False
    return any(network.version == known.version and network.subnet_of(known) for known in _PRIVATE_NETWORKS)  # type: ignore[arg-type]


SIGNING_ALGS = ("ES256", "RS256", "PS256", "ES384", "EdDSA")


def _problems_of_algs(built: Settings) -> Iterator[tuple[str, str, str]]:
    algs = built.oauth.signing_algs
    if not algs or any(alg not in SIGNING_ALGS for alg in algs) or "RS256" not in algs:
        yield (
            "oauth",
            "signing_algs",
            f"must name some of {', '.join(SIGNING_ALGS)} and include RS256 (OIDC Core 15.1)",
        )


def _problems_of_secrets(built: Settings) -> Iterator[tuple[str, str, str]]:
    for key in ("sealing_keys", "peppers"):
        entries: tuple[str, ...] = getattr(built.secrets, key)
        if not entries:
            yield (
                "secrets",
                key,
                "is missing; `idp config secrets` prints fresh ones to put into the file or environment",
            )
        if any(_key_bytes(entry) is None for entry in entries):
            yield (
                "secrets",
                key,
                'each entry is "id:base64 of 32 random bytes"; `idp config secrets` prints one',
            )
        ids = [entry.partition(":")[0] for entry in entries]
        if len(set(ids)) != len(ids):
            yield "secrets", key, "two entries have the same id; every key needs its own"


def _problems_of_resources(built: Settings) -> Iterator[tuple[str, str, str]]:
    owned: dict[str, str] = {}
    typed: set[str] = set()
    for resource in built.resources:
        parts = urlsplit(resource.identifier)
        if not parts.scheme or parts.fragment:
            yield (
                "resources",
                "identifier",
                f"{resource.identifier!r} must be an absolute URI without a fragment (RFC 8707)",
            )
        if resource.alg and resource.alg not in built.oauth.signing_algs:
            yield "resources", "alg", f"{resource.alg} has no signing key; add it to oauth.signing_algs"
        for scope in resource.scopes:
            if not re.fullmatch(r"[\x21\x23-\x5b\x5d-\x7e]+", scope):
                yield "resources", "scopes", f"{scope!r} is not a scope (RFC 6749 section 3.3)"
            if scope in owned:
                yield (
                    "resources",
                    "scopes",
                    f"{scope} belongs to {owned[scope]} and {resource.identifier}; a scope has one owner",
                )
            owned[scope] = resource.identifier
        for name in resource.authorization_details:
            if name in typed:
                yield "resources", "authorization_details", f"{name} stands at two resources; a type has one owner"
            typed.add(name)


def key_bytes(entry: str) -> tuple[str, bytes]:
    """Split "id:base64" into the id and 32 bytes. Entries were checked at load."""
    found = _key_bytes(entry)
    if found is None:
        raise ConfigError("a secret is not of the form id:base64")
    return entry.partition(":")[0], found


def _key_bytes(entry: str) -> bytes | None:
    identifier, _, encoded = entry.partition(":")
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if re.fullmatch(r"[A-Za-z0-9_-]{1,16}", identifier) and len(raw) == 32 else None


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
