"""Our password hash (C-1…C-8, N-2…N-4, attack 87). Pure: no database, no server."""

import hmac
import statistics
import time
from base64 import b64encode

import bcrypt
import pytest

from idp.authn import hashing
from idp.authn.hashing import Recipe, Stored, among, calibrate, check, is_behind, make

RECIPE = Recipe((("p2", b"2" * 32), ("p1", b"1" * 32)), 4)
OLDER = Recipe((("p1", b"1" * 32),), 4)


def fits(raw, stored):
    return check(raw, stored, RECIPE).right


def test_c2_c4_a_hash_is_bcrypt_of_the_keyed_prehash_and_says_how_it_was_made():
    stored = make("correct horse", RECIPE)
    assert (stored.scheme, stored.pepper_id, stored.cost) == ("bcrypt-hmac-sha256", "p2", 4)
    prehash = b64encode(hmac.digest(b"2" * 32, b"correct horse", "sha256"))
    assert len(prehash) == 44
    assert bcrypt.checkpw(prehash, stored.text.encode())
    assert make("correct horse", RECIPE).text != stored.text  # salted (N-8)


def test_c2_without_the_pepper_a_hash_opens_to_nobody():
    stored = make("correct horse", RECIPE)
    other = Recipe((("p2", b"x" * 32),), 4)
    assert not check("correct horse", stored, other).right


@pytest.mark.parametrize("place", [0, 70, 71, 72, 73, 99])
def test_n3_every_character_of_a_long_password_counts(place):
    password = "x" * 100
    stored = make(password, RECIPE)
    assert fits(password, stored)
    assert not fits(password[:place] + "y" + password[place + 1 :], stored)


def test_n4_composed_and_decomposed_spellings_are_one_password():
    stored = make("caf\u00e9 au lait", RECIPE)
    assert fits("cafe\u0301 au lait", stored)
    assert not fits("cafe au lait", stored)


def test_n4_compatibility_forms_are_not_folded():
    assert not fits("ﬁsh and chips", make("fish and chips", RECIPE))


@pytest.mark.parametrize(
    "raw", ["x" * 73, "x" * 256, "x" * 1_000_000, "\x00", "a\x00b", "\ud800", "😀" * 64, "", "é" * 256]
)
def test_c1_attack_87_no_password_breaks_the_check(raw):
    stored = make("correct horse", RECIPE)
    assert check(raw, stored, RECIPE) == hashing.Checked(False)
    assert check(raw, None, RECIPE) == hashing.Checked(False)


def test_n2_sixty_four_emoji_are_a_password():
    emoji = "".join(chr(0x1F600 + number) for number in range(64))
    stored = make(emoji, RECIPE)
    assert fits(emoji, stored)
    assert not fits(emoji[:-1], stored)


def test_attack_87_nothing_beyond_256_code_points_ever_fits():
    assert not fits("x" * 257, make("x" * 256, RECIPE))
    with pytest.raises(ValueError, match="256"):
        make("x" * 257, RECIPE)


def test_attack_87_a_nul_is_not_the_end_of_a_password():
    stored = make("secret\x00one", RECIPE)
    assert not fits("secret\x00two", stored)
    assert not fits("secret", stored)


@pytest.mark.parametrize(
    ("stored", "problem"),
    [
        (Stored("", pepper_id="p2", cost=4), "ValueError"),
        (Stored("$2b$04$tooshort", pepper_id="p2", cost=4), "ValueError"),
        (Stored("\x00\x00", pepper_id="p2", cost=4), "ValueError"),
        (Stored("é", pepper_id="p2", cost=4), "UnicodeEncodeError"),
        (Stored("$2b$04$" + "x" * 53, pepper_id="gone", cost=4), "pepper_missing"),
        (Stored("", "unreadable"), "unknown scheme"),
        (Stored("{SSHA}!!", "ldap_salted_sha1"), "ValueError"),
    ],
)
def test_c6_a_hash_that_cannot_be_read_is_a_wrong_password_with_a_reason(stored, problem):
    checked = check("correct horse", stored, RECIPE)
    assert not checked.right
    assert checked.problem
    assert problem in checked.problem or "Hash" in checked.problem


def test_c4_a_hash_that_is_behind_is_made_anew_after_success_only():
    old = make("correct horse", OLDER)
    assert is_behind(old, RECIPE)
    assert check("wrong", old, RECIPE).fresh is None
    fresh = check("correct horse", old, RECIPE).fresh
    assert fresh.pepper_id == "p2"
    assert check("correct horse", fresh, RECIPE) == hashing.Checked(True)


def test_c4_another_cost_is_behind_too():
    old = make("correct horse", RECIPE)
    dearer = Recipe(RECIPE.peppers, 5)
    assert check("correct horse", old, dearer).fresh.cost == 5


def test_c9_among_a_few_earlier_passwords_the_unreadable_ones_do_not_count():
    earlier = [Stored("", "unreadable"), make("one", OLDER), make("two", RECIPE)]
    assert among("one", earlier, RECIPE)
    assert among("two", earlier, RECIPE)
    assert not among("three", earlier, RECIPE)


def test_c3_calibration_has_a_floor_and_follows_the_target():
    floor, took_ms = calibrate(0.001)
    assert floor == 10
    assert took_ms > 0
    dear, dear_ms = calibrate(1_000_000)
    assert dear == 16
    assert dear_ms > took_ms


def failed_checks(recipe):
    """Every kind of check that fails."""
    known, old = make("right", recipe), make("right", Recipe(RECIPE.peppers, 5))
    foreign = Stored("{SSHA}xzWj8EWSVORK/NxhYVlw8mj2HozRunfO", "ldap_salted_sha1")
    kinds = {"known": known, "nobody": None, "old": old, "foreign": foreign, "broken": Stored("", "unreadable")}
    return {name: lambda stored=stored: check("wrong", stored, recipe) for name, stored in kinds.items()}


class Counting:
    """bcrypt, and a clock that only bcrypt moves: 2 to the power of the cost for each hash."""

    def __init__(self):
        self.spent = 0

    def checkpw(self, password, hashed):
        self.spent += 2 ** int(hashed[4:6])
        return bcrypt.checkpw(password, hashed)

    def thread_time(self):
        return self.spent


def test_c7_nobody_an_old_hash_a_foreign_one_and_a_broken_one_cost_the_same_work_as_a_wrong_password(monkeypatch):
    checks = failed_checks(Recipe(RECIPE.peppers, 7))
    counting = Counting()
    monkeypatch.setattr(hashing, "bcrypt", counting)
    monkeypatch.setattr(hashing, "time", counting)
    hashing._price.cache_clear()
    hashing._price(7)
    found = {}
    for name, work in checks.items():
        before = counting.spent
        work()
        found[name] = counting.spent - before
    hashing._price.cache_clear()
    assert set(found.values()) == {2**7}, found


def test_c7_the_work_takes_the_time_that_it_should():
    """CPU time, taken in turns so that the machine's moods meet all alike: nothing paid would be 1 below, the cheap hash alone 0.75."""
    hashing._price.cache_clear()
    checks = failed_checks(Recipe(RECIPE.peppers, 7))
    samples = {name: [] for name in checks}
    for _ in range(25):
        for name, work in checks.items():
            began = time.thread_time()
            work()
            samples[name].append(time.thread_time() - began)
    found = {name: statistics.median(values) for name, values in samples.items()}
    assert all(abs(median / found["known"] - 1) < 0.6 for median in found.values()), found
