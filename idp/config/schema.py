"""Every setting: its default, and the sentence that `config.example.toml` shows."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

from idp.config.protocol import Mtls, OAuth, Outbound, Resource, TrustedIssuer
from idp.config.setting import setting


@dataclass(frozen=True)
class Server:
    """Where the provider lives and how it is served."""

    issuer: str = setting(
        "http://localhost:8000",
        "The provider's public URL (`iss`). https in production. Never change it later.",
    )
    bind: str = setting("127.0.0.1", "Address to listen on. Use 0.0.0.0 behind a load balancer.")
    port: int = setting(8000, "Port to listen on.", at_least=1)
    workers: int = setting(0, "Worker processes; 0 means one per core.", at_least=0)
    threads: int = setting(
        8,
        "Threads per worker for pages, and as many for tokens. Sign-ins that wait for a password check never take the last two.",
        at_least=1,
    )
    trusted_proxies: int = setting(
        0,
        "How many proxies of yours stand in front. Only their X-Forwarded-* is believed; 0 believes none.",
        at_least=0,
    )
    tls_certificate: str = setting("", "PEM file with the certificate chain, to serve TLS without a proxy.")
    tls_key: str = setting("", "PEM file with the private key of tls_certificate.")
    drain_s: int = setting(20, "Seconds that requests in flight get to finish at shutdown.", at_least=1)


@dataclass(frozen=True)
class Database:
    """SQL: people, credentials, clients, token families, audit."""

    url: str = setting(
        "sqlite:///var/idp.db",
        "SQLAlchemy URL: postgresql+psycopg://user:password@host/name in production, or a SQLite file.",
        secret=True,
    )
    pool_size: int = setting(5, "Connections kept per worker (PostgreSQL).", at_least=1)
    busy_timeout_s: float = setting(10.0, "How long a SQLite writer waits for another.", at_least=0.1)


@dataclass(frozen=True)
class Redis:
    """Sessions, counters and everything that lives for minutes."""

    url: str = setting(
        "redis://localhost:6379/0",
        "redis://, rediss://, unix://path, redis+sentinel://host:port,host:port/service/db or redis+cluster://host:port.",
        secret=True,
    )
    prefix: str = setting("idp:", "Put before every key, so that several installations can share one server.")
    timeout_s: float = setting(2.0, "Give up on a Redis that does not answer after this long.", at_least=0.05)


@dataclass(frozen=True)
class Secrets:
    """Keys that must outlive the database. `idp config secrets` makes new ones. Keep them out of backups of the database."""

    sealing_keys: tuple[str, ...] = setting(
        (),
        'AES-256-GCM keys, "id:base64 of 32 bytes"; the first seals, all open. They seal TOTP secrets and signing keys.',
        secret=True,
    )
    peppers: tuple[str, ...] = setting(
        (),
        'Keys for the pre-hash of passwords, "id:base64 of 32 bytes"; the first is used for new hashes.',
        secret=True,
    )


@dataclass(frozen=True)
class Passwords:
    """What a password must look like, and what it costs to check one."""

    preset: Literal["complexity", "nist_800_63b_4", "pci_dss_4"] = setting(
        "complexity",
        "complexity (length and four kinds of characters), nist_800_63b_4 (length and blocklist only) or pci_dss_4.",
    )
    min_length: int = setting(12, "Shortest password of the complexity preset, in characters.", at_least=8)
    max_length: int = setting(256, "Longest password, in Unicode code points.", at_least=64)
    min_upper: int = setting(1, "Upper-case letters that the complexity preset demands.", at_least=0)
    min_lower: int = setting(1, "Lower-case letters that it demands.", at_least=0)
    min_digits: int = setting(1, "Digits that it demands.", at_least=0)
    min_special: int = setting(1, "Special characters (neither letter nor digit) that it demands.", at_least=0)
    history: int = setting(5, "How many earlier passwords are refused (at most 5).", at_least=0)
    context_words: tuple[str, ...] = setting((), "Words of your organisation that nobody may use as a password.")
    grace_days: int = setting(
        14,
        "A password that falls short of newer rules may stay this long; a leaked one must be replaced at once.",
        at_least=0,
    )
    breach_corpus: str = setting(
        "", "File of breached passwords, made by `idp passwords corpus build`; asked when one is chosen and at sign-in."
    )
    range_service_url: str = setting(
        "",
        "Service that knows breached passwords by k-anonymity; 5 digits of a SHA-1 are added to the URL. Empty: nobody is asked.",
    )
    bcrypt_cost: int = setting(
        12, "bcrypt cost; each step doubles the time. `idp doctor` says how long one takes here.", at_least=4
    )
    hash_concurrency: int = setting(0, "Passwords hashed at once in a worker; 0 means one.", at_least=0)
    hash_queue: int = setting(
        32,
        "Sign-ins that may wait for the hash in a worker before the answer is 503; never more than threads - 3.",
        at_least=1,
    )


@dataclass(frozen=True)
class Factors:
    """Second factors."""

    require_second: bool = setting(True, "Everybody needs a second factor; who has none enrols at the next sign-in.")
    allowed: tuple[str, ...] = setting(("passkey", "totp"), "Which may be enrolled and used: passkey, totp.")
    min_acr: Literal["urn:idp:acr:1fa", "urn:idp:acr:2fa", "urn:idp:acr:phr"] = setting(
        "urn:idp:acr:1fa", "The least level of every sign-in; urn:idp:acr:phr demands a passkey of everybody."
    )
    totp_window_steps: int = setting(1, "Steps of 30 s before and after now that a code may come from.", at_least=0)
    recovery_codes: int = setting(10, "Recovery codes in a set.", at_least=1)
    passkey_aaguids: tuple[str, ...] = setting(
        (), "Models of authenticators (AAGUID) that may be enrolled as passkeys, proved by attestation; empty: any."
    )
    passkey_attestation_roots: tuple[str, ...] = setting(
        (), "PEM files, one certificate each, that vouch for these models; needed with passkey_aaguids."
    )
    passkey_count_regression: Literal["refuse", "report"] = setting(
        "refuse", "A passkey whose counter went back may be a copy: refuse it, or let it pass and report it."
    )
    passkey_related_origins: tuple[str, ...] = setting(
        (), "Other origins whose pages may ask for passkeys of this provider (/.well-known/webauthn); usually none."
    )
    failure_hard_limit: int = setting(50, "Failures in a row that disable an authenticator (100 at most).", at_least=5)
    trusted_device_s: int = setting(
        0,
        "How long a browser that its person trusts skips the second factor (30 days at most). 0: never; anything else departs from NIST.",
        at_least=0,
    )


@dataclass(frozen=True)
class Recovery:
    """The way back in for people who lost their second step and have no recovery code left: the help desk's pages."""

    four_eyes: bool = setting(
        True, "A second person of the help desk, or an administrator, approves each help-desk recovery."
    )
    cool_off_s: int = setting(
        1800,
        "How long the person has to stop a help-desk recovery before its code can be made; 0 for none.",
        at_least=0,
    )
    code_s: int = setting(600, "Life of the temporary code (10 minutes at most where it is read out).", at_least=60)
    case_s: int = setting(86400, "A help-desk recovery that is not finished by then expires.", at_least=600)


@dataclass(frozen=True)
class Accounts:
    """How people come in, and what they may change themselves."""

    invitation_days: int = setting(7, "How long the link of an invitation is good.", at_least=1)
    choose_username: bool = setting(
        False, "People may choose their username when they accept an invitation, and change it later."
    )
    email_cooldown_hours: int = setting(
        72, "A new address receives no way back into the account for this long. 0: at once.", at_least=0
    )
    own_fields: tuple[str, ...] = setting(
        ("nickname", "gender", "birthdate", "profile", "picture", "website", "phone", "address", "locale", "zoneinfo"),
        "What people change of their own profile. Also: display_name, given_name, middle_name, family_name. Never: npi, roles.",
    )
    new_device_notice: bool = setting(
        True, "Tell people by mail when somebody signs in as them in a browser where they have not signed in before."
    )


@dataclass(frozen=True)
class Registration:
    """Asking for an account without an invitation."""

    enabled: bool = setting(
        False, "Strangers may ask for an account at /sign-up, once they have proved an e-mail address."
    )
    email_domains: tuple[str, ...] = setting(
        (), "Only addresses of these domains, written out: clinic.example.org. Empty: any."
    )
    approval: bool = setting(True, "An administrator has to agree to each request before there is an account.")
    roles: tuple[str, ...] = setting((), "Roles of whoever comes in this way. None of the staff's.")


@dataclass(frozen=True)
class Sessions:
    """The single sign-on session of a browser."""

    idle_s: int = setting(900, "A session ends after this long without a request (60 minutes at most).", at_least=60)
    absolute_s: int = setting(43200, "A session ends after this long in any case (24 hours at most).", at_least=300)
    allow_longer: bool = setting(
        False,
        "Accept lifetimes beyond 60 minutes and 24 hours, here and in [[policies]]; `idp policy show` tells of it.",
    )


@dataclass(frozen=True)
class Workstations:
    """Browsers that many people share; an administrator marks each at /admin/workstation."""

    idle_s: int = setting(
        300, "A session there ends after this long without a request, if its person's limit is longer.", at_least=60
    )


@dataclass(frozen=True)
class Limits:
    """How often somebody may try."""

    account_free_attempts: int = setting(5, "Failures on one account before waiting begins.", at_least=1)
    lockout_base_s: int = setting(30, "The first wait; it doubles with each further failure.", at_least=1)
    lockout_max_s: int = setting(3600, "The longest wait.", at_least=1)
    address_per_minute: int = setting(60, "Attempts a minute from one address (IPv6: one /64).", at_least=1)
    network_per_minute: int = setting(300, "Attempts a minute from one network (IPv4 /24, IPv6 /48).", at_least=1)
    global_per_minute: int = setting(6000, "Attempts a minute in all.", at_least=1)
    accounts_per_password: int = setting(
        20, "Accounts on which one wrong password may be tried within an hour (spraying).", at_least=2
    )
    failing_accounts_per_hour: int = setting(
        1000,
        "More accounts failing within an hour are an alarm, and strangers get a tenth of their attempts.",
        at_least=10,
    )


@dataclass(frozen=True)
class Audit:
    """The provable trail."""

    seal_interval_s: float = setting(2.0, "How often new events are numbered and linked into the chain.", at_least=0.1)
    checkpoint_events: int = setting(1000, "Sign a checkpoint at least every so many events.", at_least=1)
    checkpoint_file: str = setting(
        "var/checkpoints.jsonl",
        "Checkpoints are appended here too; ship this file elsewhere to prove that no tail is missing.",
    )


@dataclass(frozen=True)
class Mail:
    """Outgoing mail. Sign-in never waits for it."""

    smtp_host: str = setting("", "SMTP server; empty keeps mails in the outbox (the demo shows them on a page).")
    smtp_port: int = setting(587, "Port of the SMTP server.", at_least=1)
    smtp_username: str = setting("", "Account on the SMTP server, if it wants one.")
    smtp_password: str = setting("", "Password of that account.", secret=True)
    smtp_tls: Literal["starttls", "implicit", "none"] = setting(
        "starttls", "starttls, implicit, or none (loopback only)."
    )
    sender: str = setting("Sign-in <no-reply@example.org>", "From address.")


@dataclass(frozen=True)
class Support:
    """Whom a person contacts; shown on every page."""

    name: str = setting("Service desk", "Who answers.")
    email: str = setting("", "Their address.")
    phone: str = setting("", "Their telephone number.")
    hours: str = setting("", "When they answer.")


@dataclass(frozen=True)
class Log:
    """What the process prints."""

    format: Literal["json", "text"] = setting("json", "json for machines, text for people.")
    level: Literal["debug", "info", "warning", "error"] = setting("info", "debug, info, warning or error.")


@dataclass(frozen=True)
class Metrics:
    """Prometheus."""

    token: str = setting("", "Bearer token that /metrics demands. Empty: /metrics is off.", secret=True)


@dataclass(frozen=True)
class RolePolicy:
    """What people of some roles owe, where it is not the general setting. Who has several such roles owes the strictest of each."""

    roles: tuple[str, ...] = setting((), "The roles that it is for; a role stands in one table.")
    preset: Literal["complexity", "nist_800_63b_4", "pci_dss_4"] | None = setting(None, "As passwords.preset.")
    min_length: int | None = setting(None, "As passwords.min_length.", at_least=8)
    history: int | None = setting(None, "As passwords.history.", at_least=0)
    require_second: bool | None = setting(None, "As factors.require_second.")
    factors: tuple[str, ...] | None = setting(None, "As factors.allowed.")
    min_acr: Literal["urn:idp:acr:1fa", "urn:idp:acr:2fa", "urn:idp:acr:phr"] | None = setting(
        None, "As factors.min_acr."
    )
    idle_s: int | None = setting(None, "As sessions.idle_s.", at_least=60)
    absolute_s: int | None = setting(None, "As sessions.absolute_s.", at_least=300)
    trusted_device_s: int | None = setting(None, "As factors.trusted_device_s.", at_least=0)
    four_eyes: bool | None = setting(None, "As recovery.four_eyes.")


@dataclass(frozen=True)
class Settings:
    """All settings, read-only."""

    mode: Literal["production", "development", "demo"] = setting(
        "production",
        "production; development and demo relax rules and are refused for an issuer that is not loopback.",
    )
    server: Server = Server()
    database: Database = Database()
    redis: Redis = Redis()
    secrets: Secrets = Secrets()
    passwords: Passwords = Passwords()
    factors: Factors = Factors()
    recovery: Recovery = Recovery()
    accounts: Accounts = Accounts()
    registration: Registration = Registration()
    sessions: Sessions = Sessions()
    workstations: Workstations = Workstations()
    limits: Limits = Limits()
    oauth: OAuth = OAuth()  # noqa: RUF009 - frozen
    mtls: Mtls = Mtls()  # noqa: RUF009 - frozen
    outbound: Outbound = Outbound()  # noqa: RUF009 - frozen
    audit: Audit = Audit()
    mail: Mail = Mail()
    support: Support = Support()
    log: Log = Log()
    metrics: Metrics = Metrics()
    resources: tuple[Resource, ...] = ()
    policies: tuple[RolePolicy, ...] = ()
    trusted_issuers: tuple[TrustedIssuer, ...] = ()

    @functools.cached_property
    def scope_owners(self) -> dict[str, str]:
        """Which protected resource owns a scope."""
        return {scope: resource.identifier for resource in reversed(self.resources) for scope in resource.scopes}

    @functools.cached_property
    def resource_of(self) -> dict[str, Resource]:
        """Protected resources by their identifiers."""
        return {resource.identifier: resource for resource in self.resources}

    @property
    def demo(self) -> bool:
        """Demo: fictional people, codes and mails on a page."""
        return self.mode == "demo"

    @property
    def development(self) -> bool:
        """Development or demo: plain http on loopback is accepted."""
        return self.mode != "production"

    @property
    def secure_cookies(self) -> bool:
        """Whether cookies carry `Secure` and the `__Host-` prefix (always, but for http on loopback)."""
        return self.server.issuer.startswith("https://")
