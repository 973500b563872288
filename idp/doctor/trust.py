"""What trust rests on: the settings file, secrets, the issuer's address, TLS, signing keys, password hashing."""

from __future__ import annotations

import base64
import fnmatch
import ipaddress
import json
import socket
import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from idp import clients, clock, keys
from idp.authn import hash_pool, hashing, policy
from idp.config import Settings
from idp.doctor.finding import Finding, State

_EXPIRES_SOON = timedelta(days=30)
_FASTEST_HASH_S, _SLOWEST_HASH_S = 0.1, 1.0


def config_file(file: Path | None) -> Iterator[Finding]:
    """The file with the secrets is for us alone."""
    if file is None:
        yield Finding("config", "ok", "the settings come from the environment")
        return
    yield _private("config", file, f"{file} can be used")


def _private(check: str, file: Path, message: str) -> Finding:
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & 0o077:
        return Finding(
            check, "warn", f"{file} can be read by other users of this machine (mode {mode:o})", f"chmod 600 {file}"
        )
    return Finding(check, "ok", message)


def secrets(settings: Settings) -> Iterator[Finding]:
    """Keys look random and are not used twice."""
    found = {name: [_raw(entry) for entry in getattr(settings.secrets, name)] for name in ("sealing_keys", "peppers")}
    weak = [name for name, raws in found.items() if any(len(set(raw)) < 16 for raw in raws)]
    if weak:
        yield Finding("secrets", "fail", f"{' and '.join(weak)} hold bytes that are not random",
                      "make new ones with `idp config secrets`, put them first and keep the old ones behind them")  # fmt: skip
    every = [raw for raws in found.values() for raw in raws]
    if len(set(every)) < len(every):
        yield Finding(
            "secrets",
            "warn",
            "the same key stands in several places",
            "give each entry a key of its own: `idp config secrets`",
        )
    if not weak:
        yield Finding("secrets", "ok", f"{len(found['sealing_keys'])} sealing keys, {len(found['peppers'])} peppers")


def _raw(entry: str) -> bytes:
    return base64.b64decode(entry.partition(":")[2])


def issuer(settings: Settings) -> Iterator[Finding]:
    """The address is https, and leads to us: discovery there names the same issuer."""
    url = settings.server.issuer
    if settings.development:
        yield Finding("issuer", "ok", f"{url} ({settings.mode} mode, this machine only)")
    host = urlsplit(url).hostname or ""
    try:
        socket.getaddrinfo(host, None)
    except OSError as error:
        yield Finding(
            "issuer", "fail", f"the name {host} cannot be resolved here: {error.strerror}", "mend DNS, or server.issuer"
        )
        return
    try:
        answer = httpx.get(f"{url}/.well-known/openid-configuration", timeout=5.0)
        told = answer.json().get("issuer") if answer.status_code == 200 else None
    except (httpx.HTTPError, ValueError, AttributeError) as error:
        yield Finding("issuer", "warn", f"{url} does not answer from here: {type(error).__name__}",
                      "start `idp serve`; if it runs, look at the proxy in front of it and at its certificate")  # fmt: skip
        return
    if told == url:
        yield Finding("issuer", "ok", f"{url} answers and names itself")
    else:
        yield Finding("issuer", "fail", f"{url} leads to something else: it answers {answer.status_code}, issuer {told!r}",
                      "let the proxy pass Host and scheme on, and set server.trusted_proxies; or mend server.issuer")  # fmt: skip


def tls(settings: Settings) -> Iterator[Finding]:
    """The certificate can be read, is valid now and for our name, and belongs to the key."""
    file = settings.server.tls_certificate
    if not file:
        if not settings.development:
            yield Finding("tls", "ok", "no certificate here: a proxy in front must speak TLS")
        return
    try:
        chain = x509.load_pem_x509_certificates(Path(file).read_bytes())
        key = load_pem_private_key(Path(settings.server.tls_key).read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        yield Finding(
            "tls",
            "fail",
            f"certificate or key cannot be read: {error}",
            "both must be PEM, the key without a passphrase",
        )
        return
    ours = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    theirs = chain[0].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if ours != theirs:
        yield Finding(
            "tls",
            "fail",
            "server.tls_key does not belong to server.tls_certificate",
            "name the pair that belongs together",
        )
    yield _dates(chain[0])
    yield _names(chain[0], urlsplit(settings.server.issuer).hostname or "")
    yield _private("tls", Path(settings.server.tls_key), "only we can read the private key")


def _dates(certificate: x509.Certificate) -> Finding:
    now, first, last = clock.now(), certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < first:
        return Finding(
            "tls",
            "fail",
            f"the certificate is valid from {first:%Y-%m-%d} on only",
            "check the clock, or get one that is valid",
        )
    if now > last:
        return Finding("tls", "fail", f"the certificate expired on {last:%Y-%m-%d}", "renew it and restart")
    if last - now < _EXPIRES_SOON:
        return Finding("tls", "warn", f"the certificate expires on {last:%Y-%m-%d}", "renew it")
    return Finding("tls", "ok", f"the certificate is valid until {last:%Y-%m-%d}")


def _names(certificate: x509.Certificate, host: str) -> Finding:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return Finding("tls", "fail", "the certificate names no host (subjectAltName)", f"get one for {host}")
    known = [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]
    if any(_fits(host, name) for name in known):
        return Finding("tls", "ok", f"the certificate is for {host}")
    return Finding(
        "tls", "fail", f"the certificate is for {', '.join(known)[:200]}, the issuer is {host}", f"get one for {host}"
    )


def _fits(host: str, name: str) -> bool:
    try:
        return ipaddress.ip_address(host) == ipaddress.ip_address(name)
    except ValueError:
        wild = name.startswith("*.") and host.count(".") == name.count(".")
        return fnmatch.fnmatchcase(host.lower(), name.lower()) if wild else host.lower() == name.lower()


def signing_keys(settings: Settings) -> Iterator[Finding]:
    """Each algorithm has an active key that opens, and none is overdue."""
    found = keys.search()
    for alg in settings.oauth.signing_algs:
        active = [key for key in found if key.alg == alg and key.status == "active"]
        if not active:
            yield Finding(
                "keys", "fail", f"no active signing key for {alg}", "start `idp serve` once, or run `idp keys rotate`"
            )
            continue
        yield _age(alg, active[0], settings)


def _age(alg: str, key: keys.KeyInfo, settings: Settings) -> Finding:
    try:
        keys.verify(keys.sign({"iss": settings.server.issuer}, typ="doctor+jwt", alg=alg), typ="doctor+jwt")
    except Exception as error:
        return Finding("keys", "fail", f"the {alg} key {key.kid} cannot sign: {type(error).__name__}",
                       "its sealing key is missing from secrets.sealing_keys: put it back")  # fmt: skip
    age = clock.now() - (key.activated_at or key.created_at)
    if age > timedelta(days=settings.oauth.key_rotation_days + 2):
        return Finding("keys", "warn", f"the {alg} key {key.kid} is {age.days} days old",
                       "is `idp serve` running? it rotates by itself; or run `idp keys rotate`")  # fmt: skip
    return Finding("keys", "ok", f"{alg}: {key.kid} signs, {age.days} days old")


def legacy(settings: Settings) -> Iterator[Finding]:
    """Old applications whose tokens travel through the browser: an exception that should stay visible (X-3, F-4)."""
    old = [client.client_id for client in clients.search(limit=10_000).clients if client.security_profile == "legacy"]
    if settings.oauth.allow_legacy:
        yield Finding("legacy", "warn", f"the security profile legacy is allowed, {len(old)} applications have it",
                      "set oauth.allow_legacy to false once they use the authorization code with PKCE")  # fmt: skip
    elif old:
        yield Finding("legacy", "warn", f"{', '.join(old[:5])}: registered as legacy, which is not allowed here (any more)",
                      "register them anew as oidc, or set oauth.allow_legacy to true")  # fmt: skip


def trusted_devices(settings: Settings) -> Iterator[Finding]:
    """Browsers that skip the second factor: a departure from NIST SP 800-63B-4 that should stay visible (N-29)."""
    longest_s = max(judged.trusted_device_s for _, judged in policy.tables(settings))
    if longest_s:
        yield Finding("factors", "warn", f"a browser may skip the second factor for up to {longest_s} s; NIST: SHALL NOT",
                      "set trusted_device_s to 0 in [factors] and every [[policies]] table, or accept the departure")  # fmt: skip
    else:
        yield Finding("factors", "ok", "no browser skips the second factor")


def registration(settings: Settings) -> Iterator[Finding]:
    """Who may register applications, and whose word about software is believed."""
    if settings.oauth.open_registration:
        state: State = "ok" if settings.development else "warn"
        yield Finding("registration", state, "anybody may register applications here (oauth.open_registration)",
                      "set it to false; `idp client registration-token create` lets in whom you know")  # fmt: skip
    else:
        yield Finding("registration", "ok", "applications register with a token of yours")
    for entry in settings.oauth.software_statement_issuers:
        issuer, _, file = entry.partition(" ")
        try:
            found = json.loads(Path(file.strip()).read_text(encoding="utf-8"))["keys"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            yield Finding("registration", "fail", f"the keys of {issuer} cannot be read: {type(error).__name__}",
                          "name a JSON Web Key Set in oauth.software_statement_issuers")  # fmt: skip
        else:
            yield Finding("registration", "ok", f"software statements of {issuer} are believed, {len(found)} keys")


def password_hashing(settings: Settings) -> Iterator[Finding]:
    """What one password costs on this machine, and how many sign-ins that allows: long enough to guess slowly, short enough to sign in."""
    cost = settings.passwords.bcrypt_cost
    took_s = hashing.takes_s(cost)
    told = (
        f"bcrypt cost {cost} takes {took_s * 1000:.0f} ms of a core here: {1 / took_s:.1f} sign-ins a second and core"
    )
    message = f"{told}, {_at_once(settings) / took_s:.1f} on this node"
    if settings.development or _FASTEST_HASH_S <= took_s <= _SLOWEST_HASH_S:
        yield Finding("passwords", "ok", message)
        return
    better, _ = hashing.calibrate()
    yield Finding("passwords", "warn", message,
                  f"try passwords.bcrypt_cost = {better}; old hashes are renewed as people sign in")  # fmt: skip


def _at_once(settings: Settings) -> int:
    """How many passwords are checked at the same moment on this node: by its workers, and no more than it has cores."""
    server, cores = settings.server, hash_pool.cores()
    running, _ = hash_pool.sizes(
        threads=server.threads, concurrency=settings.passwords.hash_concurrency, queue=settings.passwords.hash_queue
    )
    return min(cores, (server.workers or cores) * running)


def metrics_token(settings: Settings) -> Iterator[Finding]:
    """A token that can be guessed opens /metrics."""
    token = settings.metrics.token
    if token and len(token) < 20:
        yield Finding("metrics", "warn", "metrics.token is short", "use 20 or more random characters")
    else:
        yield Finding(
            "metrics", "ok", "/metrics asks for its token" if token else "/metrics is off (metrics.token is empty)"
        )
