"""keys.proven: what the bytes of a token proved is kept; everything else is judged again at every use (attacks 46-50, 57)."""

from __future__ import annotations

import dataclasses

import pytest
from flask import current_app

from idp import clock, jws, keys
from idp.db import committing
from idp.keys import proven, ring
from tests.conftest import in_threads
from tests.keys.test_jwt import ISSUER, app, b64, forge, header, part  # noqa: F401 — `app` is a fixture

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@pytest.fixture
def judged(monkeypatch):
    """The tokens whose bytes were judged, one after the other."""
    seen, read = [], jws.read
    monkeypatch.setattr(jws, "read", lambda raw: seen.append(raw) or read(raw))
    return seen


def known():
    """How many tokens the present ring knows."""
    return len(ring.present().proven._known)


def a_token(**claims):
    return keys.sign({"sub": "s1", "exp": clock.epoch() + 600} | claims, typ="at+jwt")


def test_the_bytes_of_a_token_are_judged_once(ready, judged):
    raw = a_token()
    for _ in range(3):
        assert keys.verify(raw, typ="at+jwt", unexpired=True)["sub"] == "s1"
    assert judged == [raw]


def test_attack_49_another_byte_of_the_signature_is_refused_right_after_the_good_one(ready, judged):
    raw = a_token()
    head, _, signature = raw.rpartition(".")
    for place, letter in enumerate(signature):
        keys.verify(raw, typ="at+jwt")
        for other in (ALPHABET[ALPHABET.index(letter) ^ 1], ALPHABET[ALPHABET.index(letter) ^ 32]):
            with pytest.raises(keys.InvalidToken):
                keys.verify(f"{head}.{signature[:place]}{other}{signature[place + 1 :]}", typ="at+jwt")
    assert known() == 1


def test_a_token_that_is_known_has_one_spelling(ready):
    raw = a_token()
    keys.verify(raw, typ="at+jwt")
    for other in (f"{raw}=", f" {raw}", f"{raw}\n", raw.replace(".", ".=", 1), f"{raw}.", raw.rpartition(".")[0] + "."):
        with pytest.raises(keys.InvalidToken):
            keys.verify(other, typ="at+jwt")


def test_attack_48_type_algorithm_and_audience_are_judged_at_every_use(ready):
    raw = a_token(aud="claims")
    keys.verify(raw, typ="at+jwt", audience="claims", algs=["ES256"])
    for refused in ({"typ": "JWT"}, {"typ": "at+jwt", "algs": ["RS256"]}, {"typ": "at+jwt", "audience": "patients"}):
        with pytest.raises(keys.InvalidToken):
            keys.verify(raw, **refused)


def test_attack_49_time_is_judged_at_every_use(ready, travel):
    raw = a_token()
    assert keys.verify(raw, typ="at+jwt", unexpired=True)
    travel(601)
    with pytest.raises(keys.InvalidToken):
        keys.verify(raw, typ="at+jwt", unexpired=True)
    assert keys.verify(raw, typ="at+jwt")
    travel(-100_000)
    early = forge(header(), {"iss": ISSUER, "nbf": clock.epoch() + 100_000})
    with pytest.raises(keys.InvalidToken):
        keys.verify(early, typ="JWT")


def test_attack_49_the_issuer_is_judged_at_every_use(ready):
    raw = a_token()
    keys.verify(raw, typ="at+jwt")
    before = ready.extensions["idp.settings"]
    server = dataclasses.replace(before.server, issuer="https://moved.example.org")
    ready.extensions["idp.settings"] = dataclasses.replace(before, server=server)
    with pytest.raises(keys.InvalidToken):
        keys.verify(raw, typ="at+jwt")


@pytest.mark.parametrize(
    "claims", [b'{"iss":"http://localhost","sub":"a","sub":"b"}', b'{"iss":"http://localhost","exp":1e999}', b"[]"]
)
def test_attack_50_what_was_refused_is_refused_again_and_never_kept(ready, claims):
    raw = forge(header(typ="at+jwt"), claims)
    changed = f"{a_token()[:-8]}AAAAAAAA"
    stranger = f"{b64(header(kid='another'))}.{b64({'iss': ISSUER})}.{'A' * 86}"
    for token in (raw, changed, stranger, "a.b.c", "é.b.c", "\ud800.b.c"):
        for _ in range(2):
            with pytest.raises(keys.InvalidToken):
                keys.verify(token, typ="at+jwt")
    assert known() == 0


def test_each_reader_has_claims_of_its_own(ready):
    raw = a_token(cnf={"x5t#S256": "a"}, amr=["pwd"])
    first = keys.verify(raw, typ="at+jwt")
    first["sub"] = "somebody else"
    first["cnf"].clear()
    first["amr"].append("otp")
    assert keys.verify(raw, typ="at+jwt") | {"exp": 0} == {
        "iss": ISSUER, "sub": "s1", "exp": 0, "cnf": {"x5t#S256": "a"}, "amr": ["pwd"],
    }  # fmt: skip


# --- keys that change ---------------------------------------------------------------------------------------------


def test_o_8_another_set_of_keys_begins_with_nothing(ready, judged):
    raw = a_token()
    keys.verify(raw, typ="at+jwt")
    with committing():
        keys.rotate("RS256")
    assert known() == 0
    assert keys.verify(raw, typ="at+jwt")["sub"] == "s1"
    assert judged == [raw, raw]


def test_a_token_whose_key_is_withdrawn_is_refused_at_the_next_use(ready):
    raw = a_token()
    keys.verify(raw, typ="at+jwt")
    with committing():
        keys.withdraw(part(raw, 0)["kid"])
    with pytest.raises(keys.InvalidToken):
        keys.verify(raw, typ="at+jwt")


def test_a_token_whose_key_another_worker_withdrew_is_refused_as_soon_as_the_table_is_looked_at(ready, monkeypatch):
    from idp.db import db
    from idp.keys.model import SIGNING_KEYS

    raw = a_token()
    keys.verify(raw, typ="at+jwt")
    with db.engine.begin() as connection:  # as another process would: this one is not told
        connection.execute(
            SIGNING_KEYS.update().where(SIGNING_KEYS.c.kid == part(raw, 0)["kid"]).values(status="retired")
        )
    monkeypatch.setattr(current_app.extensions["idp.keys"], "looked_at", float("-inf"))  # a second is over
    with pytest.raises(keys.InvalidToken):
        keys.verify(raw, typ="at+jwt")


# --- room ---------------------------------------------------------------------------------------------------------


def test_the_one_not_used_for_longest_makes_room(ready, monkeypatch, judged):
    monkeypatch.setattr(proven, "KEPT", 3)
    tokens = [a_token(n=number) for number in range(4)]
    for raw in (*tokens[:3], tokens[0], tokens[3]):
        keys.verify(raw, typ="at+jwt")
    assert known() == 3
    judged.clear()
    keys.verify(tokens[0], typ="at+jwt")
    assert judged == []
    keys.verify(tokens[1], typ="at+jwt")
    assert judged == [tokens[1]]


def test_a_long_token_is_judged_each_time(ready, judged):
    raw = a_token(more="x" * proven.KEPT_CHARS)
    assert keys.verify(raw, typ="at+jwt") == keys.verify(raw, typ="at+jwt")
    assert judged == [raw, raw] and known() == 0


def test_threads_read_what_each_token_says_while_others_come_and_go(ready, monkeypatch):
    monkeypatch.setattr(proven, "KEPT", 4)
    tokens = [a_token(n=number) for number in range(8)]
    bad = [f"{raw[:-8]}AAAAAAAA" for raw in tokens]

    def work(number):
        said = []
        for turn in range(40):
            place = (number + turn) % 8
            said.append(keys.verify(tokens[place], typ="at+jwt")["n"] == place)
            with pytest.raises(keys.InvalidToken):
                keys.verify(bad[place], typ="at+jwt")
        return all(said)

    assert in_threads(8, ready, work) == [True] * 8
    assert known() == 4
