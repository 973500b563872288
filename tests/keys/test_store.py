"""keys: the life of a signing key (O-7, O-8; attacks 60, 134)."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from idp import clock, keys
from idp.config import Resource
from idp.db import committing, db
from idp.errors import BadInput, NotFound
from idp.keys import store
from tests.conftest import in_threads

DAY = 86400


def states(alg=None):
    found = [key.status for key in keys.search() if alg in (None, key.alg)]
    db.session.rollback()
    return sorted(found)


def published():
    return {key["kid"] for key in keys.public_jwks()["keys"]}


def active(alg="ES256"):
    (found,) = [key for key in keys.search() if key.status == "active" and key.alg == alg]
    db.session.rollback()
    return found


def rotated(**how):
    with committing():
        keys.rotate("ES256", **how)


def promoted():
    with committing():
        return keys.promote_due()


def test_ensure_makes_what_the_settings_demand_once(ready, audit_trail):
    assert {(key.alg, key.status) for key in keys.search()} == {("ES256", "active"), ("RS256", "active")}
    with committing():
        assert keys.ensure() == 0
    assert audit_trail.events() == ["key.created", "key.created"]


@pytest.mark.parametrize("setup", [{"oauth": {"signing_algs": ("PS256", "ES384", "EdDSA", "ES256", "RS256")}}])
def test_every_algorithm_can_be_demanded(ready):
    assert len(keys.public_jwks()["keys"]) == 5
    for alg in ("PS256", "ES384", "EdDSA", "ES256", "RS256"):
        assert keys.verify(keys.sign({"sub": alg}, typ="JWT", alg=alg), typ="JWT")["sub"] == alg


def test_workers_that_start_at_once_end_with_one_key_per_algorithm(app):
    def start(_number):
        with committing():
            return keys.ensure()

    made = in_threads(8, app, start)
    assert sum(made) == 2, made
    assert states() == ["active", "active"]


def test_o_8_a_rotation_puts_a_new_key_beside_the_old(ready, audit_trail):
    before, old = published(), active()
    token = keys.sign({"sub": "s1"}, typ="JWT")
    rotated()
    assert states("ES256") == ["active", "retiring"]
    assert published() > before
    assert active().kid != old.kid
    assert keys.verify(token, typ="JWT")["sub"] == "s1"
    assert keys.sign({}, typ="JWT").partition(".")[0] != token.partition(".")[0]
    assert audit_trail.events()[-3:] == ["key.created", "key.rotated", "key.activated"]


def test_o_8_the_old_key_stays_for_the_overlap_and_then_goes_with_its_private_half(ready, travel, audit_trail):
    old = active()
    rotated()
    travel(7 * DAY - 60)
    promoted()
    assert old.kid in published()
    travel(61)
    assert promoted() == 1
    assert old.kid not in published()
    gone = (
        db.session.execute(sa.text("SELECT sealed_private FROM signing_keys WHERE status = 'retired'")).scalars().all()
    )
    assert gone == [None]
    assert audit_trail.events()[-1] == "key.retired"


@pytest.mark.parametrize(
    ("oauth", "resource_s", "expected"),
    [
        ({"key_overlap_days": 7}, None, timedelta(days=7)),
        ({"key_overlap_days": 1, "access_token_s": 100_000}, None, timedelta(seconds=100_300)),
        ({"key_overlap_days": 1}, 200_000, timedelta(seconds=200_300)),
    ],
)
def test_o_8_the_overlap_is_longer_than_the_longest_token_and_cache(make_app, sqlite_url, oauth, resource_s, expected):
    resource = Resource(identifier="https://x.example.org", name="X", access_token_s=resource_s)
    app = make_app(sqlite_url, oauth=oauth, resources=(resource,))
    with app.app_context():
        assert store.overlap() == expected


def test_a_scheduled_rotation_publishes_first_and_signs_later(ready, travel):
    old = active()
    travel(90 * DAY)
    assert promoted() == 2  # both algorithms are due
    assert states("ES256") == ["active", "pending"]
    assert active().kid == old.kid
    assert len(published()) == 4
    assert promoted() == 0
    travel(store.PUBLISH_AHEAD.total_seconds() + 1)
    promoted()
    assert states("ES256") == ["active", "retiring"]
    assert active().kid != old.kid


def test_a_young_key_is_left_alone(ready, travel):
    travel(80 * DAY)
    assert promoted() == 0


def test_keep_fresh_makes_and_promotes(app, travel):
    with committing():
        assert keys.keep_fresh() == 2
        assert keys.keep_fresh() == 0


def test_rotating_a_pending_rotation_at_once_uses_the_published_key(ready):
    rotated(at_once=False)
    rotated(at_once=False)
    assert states("ES256") == ["active", "pending"]
    (pending,) = [key.kid for key in keys.search() if key.status == "pending"]
    rotated()
    assert active().kid == pending
    assert states("ES256") == ["active", "retiring"]


def test_rotate_without_an_algorithm_rotates_all(ready):
    with committing():
        keys.rotate(actor="cli")
    assert states() == ["active", "active", "retiring", "retiring"]


def test_an_unknown_algorithm_is_refused(ready):
    with pytest.raises(BadInput):
        keys.rotate("HS256")


def test_eight_rotations_at_once_leave_one_active_key(ready):
    def work(_number):
        with committing():
            keys.rotate("ES256")

    assert in_threads(8, ready, work) == [None] * 8
    found = states("ES256")
    assert found.count("active") == 1
    assert found.count("pending") <= 1
    assert keys.verify(keys.sign({"sub": "x"}, typ="JWT"), typ="JWT")


def test_promotions_at_once_happen_once(ready, travel, audit_trail):
    rotated(at_once=False)
    travel(store.PUBLISH_AHEAD.total_seconds() + 1)

    def work(_number):
        with committing():
            return keys.promote_due()

    assert sum(in_threads(8, ready, work)) == 1
    assert audit_trail.events().count("key.activated") == 1
    assert states("ES256") == ["active", "retiring"]


def test_a_withdrawn_key_is_gone_at_once_and_what_it_signed_with_it(ready, audit_trail):
    token, old = keys.sign({"sub": "s1"}, typ="JWT"), active()
    with committing():
        keys.withdraw(old.kid, actor="cli")
    with pytest.raises(keys.InvalidToken):
        keys.verify(token, typ="JWT")
    assert states("ES256") == ["active", "retired"]
    assert "key.retired" in audit_trail
    with pytest.raises(NotFound):
        keys.withdraw(old.kid)


def test_attack_134_a_raw_key_is_in_no_row_and_no_repr(ready):
    from idp.keys import ring

    raw = ring.present().active["ES256"]
    row = db.session.execute(sa.select(store.KEYS)).mappings().first()
    assert bytes(row["sealed_private"]).startswith(b"s1.")
    for shown in (repr(raw), repr(ring.present()), repr(keys.search()), str(row["public_jwk"])):
        assert "PRIVATE" not in shown
        assert "'d'" not in shown
        assert "sealed" not in shown


def test_a_key_sealed_to_another_row_does_not_open(ready, caplog):
    with db.engine.begin() as connection:
        connection.execute(
            sa.text(
                "UPDATE signing_keys SET sealed_private ="
                " (SELECT s.sealed_private FROM signing_keys s WHERE s.alg = 'RS256') WHERE alg = 'ES256'"
            )
        )
    with pytest.raises(keys.NoSigningKey):
        keys.sign({}, typ="JWT", alg="ES256")
    assert keys.sign({}, typ="JWT", alg="RS256")
    assert "does not open" in caplog.text


def test_times_are_told(ready):
    rotated()
    (old,) = [key for key in keys.search() if key.status == "retiring"]
    assert old.activated_at <= clock.now() < old.retires_at


def test_no_key_goes_by_a_name_that_a_command_line_takes_for_an_option(ready, monkeypatch):
    """One thumbprint in 64 begins with a dash, and `idp keys withdraw -w…` would be an unknown option."""
    names = iter(("-w1", "--yes", "k-1"))
    named = store.public_jwk
    monkeypatch.setattr(store, "public_jwk", lambda *of: {**named(*of), "kid": next(names)})
    rotated()
    assert active().kid == "k-1"
    assert keys.verify(keys.sign({"sub": "x"}, typ="JWT", alg="ES256"), typ="JWT")["sub"] == "x"
