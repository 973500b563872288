"""Sealing binds a value to its row and its key; identifiers sort by time."""

import dataclasses

import pytest
from flask import Flask

from idp import crypto
from tests.conftest import fresh_key, make_settings


@pytest.fixture
def bare(tmp_path):
    """An application context with settings only: crypto needs no database."""
    settings = make_settings(database_url="sqlite://", redis_url="redis://localhost", prefix="", folder=tmp_path)
    app = Flask("bare")
    app.extensions["idp.settings"] = settings
    with app.app_context():
        yield app


def with_keys(app: Flask, *keys: str) -> None:
    old = app.extensions["idp.settings"]
    secrets = dataclasses.replace(old.secrets, sealing_keys=keys)
    app.extensions["idp.settings"] = dataclasses.replace(old, secrets=secrets)


def test_c14_a_sealed_value_opens_only_with_its_own_row(bare):
    sealed = crypto.seal(b"secret", aad="totp:1")
    assert crypto.unseal(sealed, aad="totp:1") == b"secret"
    with pytest.raises(crypto.SealBroken):
        crypto.unseal(sealed, aad="totp:2")


def test_a_changed_byte_breaks_the_seal(bare):
    sealed = bytearray(crypto.seal(b"secret", aad="a"))
    for place in (5, len(sealed) - 1):
        changed = sealed.copy()
        changed[place] ^= 1
        with pytest.raises(crypto.SealBroken):
            crypto.unseal(bytes(changed), aad="a")
    with pytest.raises(crypto.SealBroken):
        crypto.unseal(b"", aad="a")


def test_keys_rotate_the_first_seals_and_all_open(bare):
    first, second = fresh_key("a"), fresh_key("b")
    with_keys(bare, first)
    old = crypto.seal(b"x", aad="r")
    with_keys(bare, second, first)
    assert crypto.unseal(old, aad="r") == b"x"
    assert crypto.seal(b"x", aad="r").startswith(b"b.")
    with_keys(bare, second)
    with pytest.raises(crypto.SealBroken, match="not configured"):
        crypto.unseal(old, aad="r")


def test_keyed_digests_differ_by_purpose_and_survive_rotation(bare):
    first, second = fresh_key("a"), fresh_key("b")
    with_keys(bare, first)
    old = crypto.mac("csrf", "browser")
    assert old != crypto.mac("device", "browser")
    with_keys(bare, second, first)
    assert crypto.mac("csrf", "browser") != old
    assert old in crypto.macs("csrf", "browser")


def test_lone_surrogates_do_not_break_a_digest(bare):
    assert crypto.mac("x", "\ud800") != crypto.mac("x", "\ud801")


def test_rfc9562_5_7_uuid7_sorts_by_time_and_marks_its_version(bare, travel):
    earlier = crypto.uuid7()
    travel(1)
    later = crypto.uuid7()
    assert earlier < later
    assert earlier[14] == "7"
    assert earlier[19] in "89ab"


def test_f7_tokens_have_at_least_160_bits_and_do_not_repeat():
    tokens = {crypto.random_token() for _ in range(1000)}
    assert len(tokens) == 1000
    assert all(len(token) == 43 for token in tokens)
