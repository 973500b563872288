"""Hashes of other systems: recognised, verified, refused when unknown, malformed or too costly. Pure."""

import base64
import hashlib
import json

import bcrypt
import passlib.hash as systems
import pytest
from argon2 import low_level

from idp.authn.foreign_hashes import MalformedHash, matches, recognise, scheme_of
from idp.errors import BadInput

PASSWORD = "correct horse"
SALT = b"0123456789abcdef"
SALT64 = base64.b64encode(SALT).decode()


def b64(raw):
    return base64.b64encode(raw).decode()


def pbkdf2(algorithm, rounds, size):
    return b64(hashlib.pbkdf2_hmac(algorithm, PASSWORD.encode(), SALT, rounds, size))


def keycloak(algorithm, rounds, value, **more):
    secret = {"value": value, "salt": SALT64, "additionalParameters": {}}
    how = {"hashIterations": rounds, "algorithm": algorithm, "additionalParameters": more}
    return {"type": "password", "secretData": secret, "credentialData": how}


def as_text(credential):
    """Keycloak exports the two halves as text that holds JSON."""
    return json.dumps(
        {key: json.dumps(value) if isinstance(value, dict) else value for key, value in credential.items()}
    )


BCRYPT = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
ARGON2 = b64(low_level.hash_secret_raw(PASSWORD.encode(), SALT, 2, 1024, 1, 32, low_level.Type.ID))
ARGON2_COSTS = {"hashLength": ["32"], "memory": ["1024"], "type": ["id"], "version": ["1.3"], "parallelism": ["1"]}
SCRYPT = b64(hashlib.scrypt(PASSWORD.encode(), salt=b"saltysalt", n=1024, r=8, p=1, dklen=64))
quick_argon2 = {"rounds": 1, "memory_cost": 1024}

HASHES = {
    "bcrypt 2b": BCRYPT,
    "bcrypt 2a": BCRYPT.replace("$2b$", "$2a$"),
    "bcrypt 2y": BCRYPT.replace("$2b$", "$2y$"),
    "bcrypt of LDAP": "{CRYPT}" + BCRYPT,
    "bcrypt of Dovecot": "{BLF-CRYPT}" + BCRYPT,
    "bcrypt of Django": "bcrypt$" + BCRYPT,
    "bcrypt-sha256 of Django": systems.django_bcrypt_sha256.using(rounds=4).hash(PASSWORD),
    "argon2": systems.argon2.using(**quick_argon2).hash(PASSWORD),
    "argon2 of LDAP": "{ARGON2}" + systems.argon2.using(**quick_argon2).hash(PASSWORD),
    "argon2 of Django": systems.django_argon2.using(**quick_argon2).hash(PASSWORD),
    "argon2 of Keycloak": as_text(keycloak("argon2", 2, ARGON2, **ARGON2_COSTS)),
    "PBKDF2 of Django": systems.django_pbkdf2_sha256.using(rounds=1000).hash(PASSWORD),
    "PBKDF2-SHA1 of Django": systems.django_pbkdf2_sha1.using(rounds=1000).hash(PASSWORD),
    "PBKDF2-SHA256 of Passlib": systems.pbkdf2_sha256.using(rounds=1000).hash(PASSWORD),
    "PBKDF2-SHA512 of Passlib": systems.pbkdf2_sha512.using(rounds=1000).hash(PASSWORD),
    "PBKDF2-SHA1 of Passlib": systems.pbkdf2_sha1.using(rounds=1000).hash(PASSWORD),
    "PBKDF2-SHA256 of LDAP": systems.ldap_pbkdf2_sha256.using(rounds=1000).hash(PASSWORD),
    "PBKDF2-SHA256 of LDAP, small": systems.ldap_pbkdf2_sha256.using(rounds=1000)
    .hash(PASSWORD)
    .replace("PBKDF2-SHA", "pbkdf2-sha"),
    "PBKDF2-SHA512 of LDAP": systems.ldap_pbkdf2_sha512.using(rounds=1000).hash(PASSWORD),
    "PBKDF2 of LDAP": systems.ldap_pbkdf2_sha1.using(rounds=1000).hash(PASSWORD),
    "PBKDF2-SHA256 of Keycloak, 64 bytes": as_text(keycloak("pbkdf2-sha256", 2750, pbkdf2("sha256", 2750, 64))),
    "PBKDF2-SHA256 of Keycloak, 32 bytes": json.dumps(keycloak("pbkdf2-sha256", 2750, pbkdf2("sha256", 2750, 32))),
    "PBKDF2-SHA512 of Keycloak": as_text(keycloak("pbkdf2-sha512", 2100, pbkdf2("sha512", 2100, 64))),
    "PBKDF2 of old Keycloak": json.dumps(
        {"algorithm": "pbkdf2", "hashIterations": 1000, "salt": SALT64, "hashedSaltedValue": pbkdf2("sha1", 1000, 64)}
    ),
    "scrypt of Passlib": systems.scrypt.using(rounds=8).hash(PASSWORD),
    "scrypt of Django": f"scrypt$1024$saltysalt$8$1${SCRYPT}",
    "SSHA": systems.ldap_salted_sha1.hash(PASSWORD),
    "SSHA, small": systems.ldap_salted_sha1.hash(PASSWORD).replace("{SSHA}", "{ssha}"),
    "SSHA256": systems.ldap_salted_sha256.hash(PASSWORD),
    "SSHA512": systems.ldap_salted_sha512.hash(PASSWORD),
}


@pytest.mark.parametrize("text", HASHES.values(), ids=HASHES.keys())
def test_a_supported_hash_fits_its_password_and_no_other(text):
    normal = recognise(text)
    assert matches(PASSWORD, normal)
    for other in (PASSWORD + "x", PASSWORD[:-1], PASSWORD.upper(), "", "a\x00b", "\ud800", "x" * 256):
        assert not matches(other, normal)


@pytest.mark.parametrize("text", HASHES.values(), ids=HASHES.keys())
def test_a_recognised_hash_is_recognised_again_as_the_same(text):
    normal = recognise(text)
    assert recognise(normal) == normal
    assert scheme_of(normal)


REFUSED = [
    "",
    "hunter2",
    "md5$salt$5f4dcc3b5aa765d61d8327deb882cf99",
    "$1$abcdefgh$aaaaaaaaaaaaaaaaaaaaaa",
    "5f4dcc3b5aa765d61d8327deb882cf99",
    "{SSHA}too-short",
    "{MD5}X03MO1qnZdYdgyfeuILPmQ==",
    "$2b$04$short",
    BCRYPT.replace("$2b$", "$2x$"),
    BCRYPT.replace("$04$", "$31$"),
    "$pbkdf2-sha256$999999999$c2FsdHNhbHQ$H5R9LZ0QvKxHLm1L",
    "$scrypt$ln=31,r=8,p=1$tnbOeQ8h5HyPUcoZQ2gtpQ$2jdFTHDhVNunmnFWKUTcxyP1BUii7hOivEOdhuUT3sY",
    "$argon2id$v=19$m=99999999,t=3,p=4$B8A4h3CuNYYwBmDsPQfAGA$/pJ/L0hErzA4k8e5JWwJJnR1E6r9BsnKjI7pXPvWPnU",
    "$argon2id$v=19$m=65536,t=9999,p=4$B8A4h3CuNYYwBmDsPQfAGA$/pJ/L0hErzA4k8e5JWwJJnR1E6r9BsnKjI7pXPvWPnU",
    "scrypt$1000$salt$8$1$" + SCRYPT,
    "{}",
    "{[]}",
    '{"secretData": 1, "credentialData": 2}',
    json.dumps(keycloak("argon2", 2, ARGON2, **(ARGON2_COSTS | {"type": ["id$v=19"]}))),
    json.dumps(keycloak("md5", 2, "YQ==")),
    '{"a":' * 900 + "}",
    "\ud800",
    "x" * 5000,
]


@pytest.mark.parametrize("text", REFUSED, ids=[f"case {number}" for number in range(len(REFUSED))])
def test_what_cannot_be_verified_later_is_refused_by_naming_what_can(text):
    with pytest.raises(BadInput, match=r"Supported: bcrypt, argon2, PBKDF2 .*Keycloak.*scrypt.*\{SSHA\}"):
        recognise(text)


def test_a_long_password_fits_a_foreign_bcrypt_as_it_did_there():
    """Former systems cut at 72 bytes without a word; only the upgrade at the first sign-in keeps the whole password."""
    stored = bcrypt.hashpw(b"y" * 72, bcrypt.gensalt(4)).decode()
    assert matches("y" * 80, stored)
    assert not matches("y" * 71, stored)


def test_n4_a_foreign_hash_fits_the_spelling_that_was_hashed_there():
    decomposed = systems.ldap_salted_sha1.hash("cafe\u0301")
    composed = systems.ldap_salted_sha1.hash("caf\u00e9")
    assert matches("cafe\u0301", decomposed)
    assert matches("cafe\u0301", composed)
    assert not matches("cafe", composed)


def test_c6_a_broken_stored_hash_is_an_error_of_its_own():
    for stored in ("", "nonsense", "{SSHA}!!"):
        with pytest.raises(MalformedHash):
            matches(PASSWORD, stored)
