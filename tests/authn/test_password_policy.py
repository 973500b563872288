"""The password policy as a table of cases (N-1…N-6, X-6, attack 96). Pure: no database, no server."""

import dataclasses

import pytest

from idp.authn import blocklist, password_policy
from idp.authn.deviations import report
from idp.authn.password_policy import describe, generate, policy_of, rules, violations
from idp.config import Settings
from idp.users import User, UserEmail


def settings_with(*, second=True, issuer="https://login.example.org", **passwords):
    base = Settings()
    return dataclasses.replace(
        base,
        passwords=dataclasses.replace(base.passwords, **passwords),
        factors=dataclasses.replace(base.factors, require_second=second),
        server=dataclasses.replace(base.server, issuer=issuer),
    )


COMPLEXITY = policy_of(settings_with(context_words=("Mercy Hospital", "mercyhealth")))
NIST = policy_of(settings_with(preset="nist_800_63b_4"))
NIST_ALONE = policy_of(settings_with(preset="nist_800_63b_4", second=False))


def alice():
    return User(
        username="Alice.Meyer@example.org",
        canonical_username="alice.meyer@example.org",
        display_name="Dr. Alice Meyer",
        given_name="Alice",
        family_name="Meyer",
        npi="1234567893",
        emails=[UserEmail(address="A.Meyer7@example.com", canonical="a.meyer7@example.com")],
    )


def broken(raw, policy=COMPLEXITY, *, user=None, reused=False):
    return [violation.rule for violation in violations(raw, user=user, policy=policy, reused=reused)]


@pytest.mark.parametrize(
    ("raw", "rules_broken"),
    [
        ("Quiet-Lamp-93-Orbit", []),
        ("Tr0ub4dor&3-stapler", []),
        ("É-vélo-électrique-27", []),
        ("Passphrase with 7 Spaces", []),
        ("", ["length", "upper", "lower", "digit", "special", "blocklist"]),
        ("aB3-", ["length"]),
        ("quiet-lamp-93-orbit", ["upper"]),
        ("QUIET-LAMP-93-ORBIT", ["lower"]),
        ("Quiet-Lamp-no-Orbit", ["digit"]),
        ("QuietLamp93Orbit", ["special"]),
        ("quietlamporbits", ["upper", "digit", "special"]),
        ("Quiet-Lamp-93\tOrbit", ["characters"]),
        ("Quiet-Lamp-93\x00Orbit", ["characters"]),
        ("Quiet-Lamp-93\ud800Orbit", ["characters"]),
        ("P@ssw0rd2026!", ["blocklist"]),
        ("Sunshine2026!!", ["blocklist"]),
        ("!!11Drowssap11!!", ["blocklist"]),
        ("Mercyhealth-2026", ["blocklist"]),
        ("Mercy Hospital 1", ["blocklist"]),
        ("Login.example.org1", ["blocklist"]),
        ("My password is 12 Quills", []),
        ("A" * 257, ["length"]),
        ("Aa1-" * 64, []),
    ],
)
def test_the_complexity_preset_names_every_rule_that_is_broken(raw, rules_broken):
    assert broken(raw) == rules_broken


@pytest.mark.parametrize(
    ("raw", "rules_broken"),
    [
        ("quietlamp", []),
        ("quiet l", ["length"]),
        ("password", ["blocklist"]),
        ("PASSWORD", ["blocklist"]),
        ("password1234", ["blocklist"]),
        ("my password is longer than yours", []),
        ("P@ssw0rd2026!", []),
        ("😀😁😂🤣😃😄😅😆", []),
        ("        ", ["blocklist"]),
        ("correct horse battery staple", []),
    ],
)
def test_n5_n6_the_nist_preset_knows_no_composition_and_compares_whole_passwords(raw, rules_broken):
    assert broken(raw, NIST) == rules_broken


def test_n1_fifteen_characters_alone_and_eight_beside_a_second_factor():
    fourteen = "quiet lamp orb"
    assert broken(fourteen, NIST_ALONE) == ["length"]
    assert broken(fourteen + "i", NIST_ALONE) == []
    assert broken(fourteen[:8], NIST) == []
    assert broken(fourteen[:7], NIST) == ["length"]
    unprotected = policy_of(settings_with(preset="nist_800_63b_4"), second_factor=False)
    assert broken(fourteen, unprotected) == ["length"]


def test_n2_length_counts_code_points_after_nfc():
    decomposed = "e\u0301" * 8
    assert broken(decomposed[:14], NIST) == ["length"]
    assert broken(decomposed, NIST) == []
    assert broken("😀😁😂🤣😃😄😅😆" * 8, NIST) == []
    assert broken("😀" * 257, NIST) == ["length"]


@pytest.mark.parametrize(
    "raw",
    [
        "Alice.Meyer2026!",
        "alice.meyer@example.org1A!",
        "Al1ce.Meyer-2026",
        "!AliceMeyer2026",
        "x-ALICE.MEYER-Y7",
        "Reyem.Ecila-2026",
        "A.Meyer7-Secure!",
        "Meyer2026!!!!",
        "Dr. Alice Meyer 1",
        "Npi-1234567893-X",
    ],
)
def test_n6_attack_96_nothing_made_from_the_username_the_address_or_the_name(raw):
    assert "username" in broken(raw, user=alice())
    assert "username" in broken(raw, NIST, user=alice())
    assert "username" not in broken(raw)


@pytest.mark.parametrize("raw", ["Meyerbeer-Opera-77", "Malice-Afore-7-Thought", "Quiet-Lamp-93-Orbit"])
def test_a_name_inside_a_longer_password_is_no_derivative(raw):
    assert broken(raw, user=alice()) == []


def test_attack_96_an_earlier_password_is_named():
    assert broken("Quiet-Lamp-93-Orbit", reused=True) == ["history"]


def test_asvs_6_2_4_the_top_three_thousand_are_refused_by_both_presets():
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    for word in FREQUENCY_LISTS["passwords"][:3000]:
        for policy in (COMPLEXITY, NIST):
            found = broken(word, policy)
            assert "blocklist" in found, word


def test_the_blocklist_knows_its_words_and_no_others():
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    listed = {word.casefold() for words in FREQUENCY_LISTS.values() for word in words}
    ends = sorted(listed)[:50] + sorted(listed)[-50:]
    some = [*ends, *sorted(listed)[::97]]
    assert len(listed) > 90_000
    assert all(map(blocklist.is_listed, some))
    near = {changed for word in some for changed in (word[1:], word[:-1], f"{word}~", f"!{word}", f"{word}\n")} - listed
    assert not [word for word in (*near, "", "\n", "\x00", "\ud800", "\n".join(ends[:2])) if blocklist.is_listed(word)]


def test_the_blocklist_is_small_and_read_once():
    assert len(blocklist._sorted_text()) < 1_000_000
    assert blocklist._sorted_text() is blocklist._sorted_text()


def test_x6_presets_say_in_what_they_deviate():
    assert report(settings_with()) == {
        "preset": "complexity",
        "nist_compliant": False,
        "deviations": ["composition"],
    }
    assert report(settings_with(preset="nist_800_63b_4"))["nist_compliant"] is True
    assert report(settings_with(second=False))["deviations"] == ["composition", "minimum_length"]
    bare = settings_with(min_upper=0, min_lower=0, min_digits=0, min_special=0)
    assert report(bare)["nist_compliant"] is True


def test_w4_the_rules_are_told_before_anybody_types():
    assert [rule.rule for rule in rules(COMPLEXITY)] == [
        "length", "upper", "lower", "digit", "special", "username", "blocklist", "history",
    ]  # fmt: skip
    assert [rule.rule for rule in rules(NIST)] == ["length", "username", "blocklist", "history"]
    told = describe(COMPLEXITY)
    assert told[0] == "At least 12 characters; up to 256, spaces welcome."
    assert told[1] == "At least 1 upper-case letter."
    assert told[-1] == "Not your last 5 passwords."
    two = policy_of(settings_with(min_digits=2, history=0))
    assert "At least 2 digits." in describe(two)
    assert not any(rule.rule == "history" for rule in rules(two))


def test_every_broken_rule_is_one_that_was_told():
    told = {rule.rule for rule in rules(COMPLEXITY)}
    for raw in ("", "a", "password", "x" * 300, "Alice.Meyer2026!"):
        assert set(broken(raw, user=alice(), reused=True)) <= told


def test_messages_say_what_remains():
    message = {v.rule: v.message for v in violations("aB3-", policy=COMPLEXITY)}
    assert message["length"] == "Use at least 12 characters: 8 more."
    more = policy_of(settings_with(min_digits=3))
    assert {v.rule: v.message for v in violations("Quiet-Lamp-9-Orbit", policy=more)} == {
        "digit": "Add at least 2 digits."
    }


@pytest.mark.parametrize(
    "policy",
    [COMPLEXITY, NIST, NIST_ALONE, policy_of(settings_with(min_length=40, min_digits=12, min_special=6, min_upper=8))],
)
def test_generated_passwords_keep_any_policy_and_differ(policy):
    made = {generate(policy, user=alice()) for _ in range(50)}
    assert len(made) == 50
    for raw in made:
        assert violations(raw, user=alice(), policy=policy) == []
        assert len(raw) >= 20


def test_n6_building_the_policy_never_lets_more_than_five_or_256_through():
    loose = policy_of(settings_with(history=50, max_length=100_000))
    assert (loose.history, loose.max_length) == (5, password_policy.MAX_CODE_POINTS)


def test_attack_87_a_megabyte_is_judged_in_no_time():
    assert broken("e\u0301" * 500_000) == ["length"]
