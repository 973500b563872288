"""limits: how often somebody may try (N-10, N-11; attacks 88, 90, 91, 92, 93, 94, 133)."""

from __future__ import annotations

import dataclasses

import pytest

from idp import audit, clock, kv, limits
from idp.config.schema import Limits
from idp.db import committing, db
from idp.errors import TooMany
from tests.conftest import in_threads

HOME = "192.0.2.7"


@pytest.fixture(autouse=True)
def time_stands():
    """No second passes but those that a test travels."""
    with clock.freeze(clock.now()):
        yield


@pytest.fixture
def app(make_app, sqlite_url):
    """Limits live in Redis: which database stands behind the audit does not matter."""
    built = make_app(sqlite_url)
    with built.app_context():
        yield built
        db.session.rollback()


def guess(account="alice", address=HOME, scope="login", **more):
    with committing():
        return limits.attempt(scope, account=account, address=address, **more)


def allowed(count, **kwargs):
    return sum(guess(**kwargs).allowed for _ in range(count))


def refusals():
    return [entry for entry in audit.search(limit=500).entries if entry.event == "limit.exceeded"]


# --- the account


def test_n_10_five_attempts_are_free_and_then_waiting_begins(app):
    assert allowed(5) == 5
    verdict = guess()
    assert (verdict.allowed, verdict.limit) == (False, "account")
    assert 28 <= verdict.retry_after_s <= 30


def test_n_10_waits_double_from_30_s_to_an_hour(app, travel):
    allowed(5)
    waits = []
    for _ in range(10):
        verdict = guess()
        waits.append(verdict.retry_after_s)
        travel(verdict.retry_after_s + 0.01)
        assert guess().allowed
    expected = [30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert all(abs(wait - wanted) <= 2 for wait, wanted in zip(waits, expected, strict=True)), waits


@pytest.mark.parametrize(
    ("rules", "waits"),
    [
        ({}, (30, 60, 120, 240, 480, 960, 1920, 3600)),
        ({"lockout_base_s": 10, "lockout_max_s": 25}, (10, 20, 25)),
        ({"lockout_base_s": 60, "lockout_max_s": 60}, (60,)),
        ({"lockout_base_s": 90, "lockout_max_s": 60}, (60,)),
    ],
)
def test_n_10_the_waits_are_a_pure_function_of_the_settings(rules, waits):
    assert limits.waits_s(dataclasses.replace(Limits(), **rules)) == waits


def test_attack_90_hammering_does_not_lengthen_the_wait(app, travel):
    allowed(5)
    assert allowed(200) == 0
    travel(31)
    assert guess().allowed


def test_n_11_success_clears_the_account(app):
    allowed(4)
    limits.clear("login", account="alice")
    assert allowed(6) == 5


def test_n_11_success_with_one_factor_does_not_clear_another(app):
    assert allowed(5, scope="factor:totp") == 5
    limits.clear("login", account="alice")
    assert not guess(scope="factor:totp").allowed


def test_accounts_do_not_disturb_each_other(app):
    allowed(6)
    assert guess(account="bob").allowed


def test_attack_91_spellings_share_a_counter_because_callers_pass_the_canonical_account(app):
    allowed(5, address="192.0.2.1")
    assert not guess(address="198.51.100.1").allowed


def test_attack_90_a_person_on_a_known_device_is_not_locked_out_by_others(app):
    assert allowed(100) == 5
    assert guess(known_device=True).allowed


def test_attack_90_a_known_device_is_limited_by_itself(app):
    assert allowed(20, known_device=True) == 5
    limits.clear("login", account="alice", known_device=True)
    assert guess(known_device=True).allowed
    assert allowed(5) == 5  # the counter of everybody else was not touched


def test_attack_90_a_flooded_shared_address_does_not_shut_out_known_devices(app):
    for number in range(70):
        guess(account=f"victim{number}")
    assert not guess(account="carol").allowed
    assert guess(account="carol", known_device=True).allowed


def test_attack_91_one_success_now_and_then_does_not_clear_the_address(app):
    got = 0
    for number in range(100):
        got += guess(account=f"victim{number}").allowed
        limits.clear("login", account="own")
    assert got == 60


# --- address, network, everybody


def test_attack_88_one_password_for_a_thousand_people_from_one_address(app):
    verdicts = [guess(account=f"p{number}") for number in range(1000)]
    assert sum(verdict.allowed for verdict in verdicts) == 60
    assert verdicts[-1].limit == "address"
    assert 50 <= verdicts[-1].retry_after_s <= 60


def test_attack_88_many_addresses_of_one_network_meet_the_network_limit(app):
    verdicts = [guess(account=f"p{n}", address=f"192.0.2.{n % 250}") for n in range(320)]
    assert sum(verdict.allowed for verdict in verdicts) == 300
    assert verdicts[-1].limit == "network"


def test_attack_88_a_thousand_networks_meet_the_global_limit(make_app, sqlite_url):
    app = make_app(sqlite_url, limits={"global_per_minute": 50})
    with app.app_context():
        verdicts = [guess(account=f"p{n}", address=f"198.{18 + n % 2}.{n}.1") for n in range(60)]
    assert sum(verdict.allowed for verdict in verdicts) == 50
    assert verdicts[-1].limit == "global"


def test_a_window_ends_after_a_minute(app, travel):
    assert allowed(61, account=None) == 60
    travel(61)
    assert guess(account=None).allowed


def test_a_refused_attempt_is_counted_nowhere(app):
    allowed(5)
    allowed(500)  # refused by the account: the address still has 55 left
    assert sum(guess(account=f"p{n}").allowed for n in range(100)) == 55


def test_attack_139_a_clock_that_was_set_back_locks_nobody_out_for_long(app, travel):
    allowed(5)
    assert allowed(60, account=None) == 55
    travel(-7200)
    assert guess().retry_after_s <= 3600
    assert allowed(70, account=None) == 60


def test_clocks_of_workers_may_differ_a_little(app, travel):
    assert allowed(60, account=None) == 60
    travel(-5)
    assert guess(account=None).retry_after_s <= 60
    travel(10)
    assert not guess(account=None).allowed


@pytest.mark.parametrize(
    ("address", "near", "wide"),
    [
        ("192.0.2.7", "192.0.2.7/32", "192.0.2.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("::ffff:192.0.2.7", "192.0.2.7/32", "192.0.2.0/24"),
        ("fe80::1%eth0", "fe80::/64", "fe80::/48"),
        ("", "unknown", "unknown"),
        ("unix", "unknown", "unknown"),
    ],
)
def test_attack_92_addresses_are_bucketed(address, near, wide):
    assert (limits.address_bucket(address), limits.network_bucket(address)) == (near, wide)


def test_attack_92_a_subscriber_has_one_counter_for_all_addresses_of_a_64(app):
    assert sum(guess(account=f"p{n}", address=f"2001:db8:1:2::{n:x}").allowed for n in range(100)) == 60


# --- atomic


def test_attack_93_twenty_threads_and_five_hundred_guesses_get_five(app):
    def work(_number):
        return sum(guess().allowed for _ in range(25))

    assert sum(in_threads(20, app, work)) == 5


def test_attack_93_twenty_threads_on_twenty_accounts_get_what_the_address_has(app):
    def work(number):
        return sum(guess(account=f"p{number}-{n}").allowed for n in range(10))

    assert sum(in_threads(20, app, work)) == 60


def test_one_attempt_is_one_round_trip(app):
    guess()
    before = kv.client().info("commandstats")["cmdstat_evalsha"]["calls"]
    total = kv.client().info("stats")["total_commands_processed"]
    limits.attempt("login", account="alice", address=HOME)
    assert kv.client().info("commandstats")["cmdstat_evalsha"]["calls"] == before + 1
    assert kv.client().info("stats")["total_commands_processed"] - total < 25  # the script's own steps and the asking


def test_all_keys_of_an_attempt_lie_in_one_slot_of_a_cluster(app):
    guess()
    keys = list(kv.client().scan_iter(kv.key("*")))
    assert len(keys) == 4
    assert len({key[key.index("{") : key.index("}")] for key in keys}) == 1


def test_keys_expire_by_themselves(app):
    guess()
    lives = [kv.client().ttl(key) for key in kv.client().scan_iter(kv.key("*"))]
    assert len(lives) == 4
    assert all(0 < life <= 86400 for life in lives)


# --- away, written down


def test_attack_94_without_redis_there_is_no_attempt(make_app, sqlite_url):
    app = make_app(sqlite_url, redis={"url": "redis://127.0.0.1:1/0", "timeout_s": 0.1})
    with app.app_context():
        for call in (
            lambda: limits.attempt("login", account="alice", address=HOME),
            lambda: limits.clear("login", account="alice"),
            lambda: limits.spend("token", "c1", count=1, window_s=60),
        ):
            with pytest.raises(kv.Unavailable):
                call()


def test_a_refusal_is_recorded_once_per_lockout(app, travel):
    allowed(50)
    assert [(e.reason, e.outcome, e.details["scope"]) for e in refusals()] == [("account", "failure", "login")]
    travel(31)
    assert guess().allowed
    allowed(50)
    assert len(refusals()) == 2


def test_a_refusal_is_recorded_once_per_window_and_key(app, travel):
    for number in range(200):
        guess(account=f"p{number}")
    for number in range(100):
        guess(account=f"p{number}", address="198.51.100.9")
    assert [entry.reason for entry in refusals()] == ["address", "address"]
    travel(61)
    for number in range(100):
        guess(account=f"q{number}")
    assert len(refusals()) == 3


def test_attack_133_what_was_typed_as_a_name_is_in_no_key_and_no_event(app):
    allowed(10, account="hunter2-typed-into-the-wrong-field")
    keys = list(kv.client().scan_iter(kv.key("*")))
    assert keys
    assert not any("hunter2" in key for key in keys)
    (entry,) = refusals()
    assert "hunter2" not in repr(entry)


def test_a_refusal_can_become_the_answer(app):
    allowed(5)
    with pytest.raises(TooMany) as refused:
        guess().insist()
    assert refused.value.retry_after_s > 0
    guess(account="bob").insist()


# --- spend


def test_spend_counts_per_name_and_key(app, travel):
    def use(key="c1", name="token"):
        with committing():
            return limits.spend(name, key, count=3, window_s=600)

    assert [use().allowed for _ in range(5)] == [True, True, True, False, False]
    assert use().limit == "token"
    assert 590 <= use().retry_after_s <= 600
    assert use(key="c2").allowed
    assert use(name="recovery").allowed
    assert len(refusals()) == 1
    travel(601)
    assert use().allowed


def test_spend_is_atomic(app):
    def work(_number):
        return sum(limits.spend("token", "c1", count=7, window_s=60).allowed for _ in range(10))

    assert sum(in_threads(20, app, work)) == 7


def test_who_is_exhausted_is_on_a_list_until_the_window_ends(app, travel):
    def use(key):
        return limits.spend("proof", key, count=2, window_s=60, listed=True)

    assert [use("c1").is_last, use("c1").is_last, use("c2").is_last] == [False, True, False]
    assert not use("c1").allowed
    assert limits.exhausted("proof", most=10) == {limits.listed_as("c1")}
    assert limits.is_exhausted("proof", "c1") and not limits.is_exhausted("proof", "c2")
    travel(59)
    use("c2"), use("c3")
    assert limits.exhausted("proof", most=10) == {limits.listed_as("c1"), limits.listed_as("c2")}
    assert limits.exhausted("proof", most=1) is None
    travel(2)
    assert not limits.is_exhausted("proof", "c1") and use("c1").allowed
    db.session.rollback()


def test_the_list_lies_in_the_slot_of_its_counters_and_names_nobody(app):
    limits.spend("proof", "pat@example.org", count=1, window_s=60, listed=True)
    keys = list(kv.client().scan_iter(kv.key("*")))
    assert len(keys) == 2 and len({key[key.index("{") : key.index("}")] for key in keys}) == 1
    assert all(0 < kv.client().pttl(key) <= 120_000 for key in keys)
    told = [*keys, *kv.client().zrange(next(key for key in keys if key.endswith(":full")), 0, -1)]
    assert not any("pat" in text for text in told)
