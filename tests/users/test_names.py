"""Usernames and addresses: what may be created, and which spellings are one name (W-9, attacks 91, 95, 115, 116, 144)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.errors import BadInput
from idp.users.names import canonical_username, checked_email, checked_username
from tests import cost


@pytest.mark.parametrize(
    "typed",
    [
        "admin",
        "Admin",
        "ADMIN",
        "ａdmin",
        " admin",
        "admin\t",
        "admin\u200b",
        "\u202eadmin",
        "ad\u00admin",
        "ADMI\u2060N",
    ],
)
def test_attack_91_all_spellings_of_a_name_share_one_key(typed):
    assert canonical_username(typed) == "admin"


@pytest.mark.parametrize("typed", ["аdmin", "admın", "adm1n", "admi\u0307n"])
def test_w9_another_name_is_another_key(typed):
    assert canonical_username(typed) != "admin"


def test_w9_the_kelvin_sign_is_a_k_and_a_dotted_capital_i_is_not_an_i():
    assert canonical_username("\u212aevin") == "kevin"
    assert canonical_username("İpek") != canonical_username("ipek")


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ("admin\u200b.x", "invisible"),
        ("ad\u202emin", "invisible"),
        ("аdmin", "several scripts"),
        ("асе", "look like"),
        ("ɑdmin", "look like"),
        ("admın", "look like"),
        ("al ice", "spaces"),
        ("a", "2 to 64"),
        ("a" * 65, "2 to 64"),
        ("=cmd", "begins with"),
        ("-alice", "begins with"),
        ("alice'; DROP TABLE users;--", "spaces"),
        ("alice;--", "only letters"),
        ("<b>alice", "begins with"),
        ("al\x00ice", "U+0000"),
        ("ﬁnn", "U+FB01"),
        ("al\ud800ice", "U+D800"),
        ("alice@", "not an e-mail"),
        ("alice@localhost", "not an e-mail"),
        ("аlice@example.org", "several scripts"),
        ("alice@еxample.org", "several scripts"),
        ("al\u200bice@example.org", "not an e-mail"),
    ],
)
def test_w9_names_that_could_deceive_are_refused_at_creation(raw, says):
    with pytest.raises(BadInput) as refused:
        checked_username(raw)
    assert says in refused.value.public


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        ("Alice", "alice"),
        ("MD-0042", "md-0042"),
        ("o'Brien.2", "o'brien.2"),
        ("José", "josé"),
        ("Jose\u0301", "josé"),
        ("Дмитрий", "дмитрий"),
        ("山田太郎", "山田太郎"),
        ("Straße", "straße"),
        ("Alice.Meyer+work@Example.ORG", "alice.meyer+work@example.org"),
        ("mia@BÜCHER.example.org", "mia@xn--bcher-kva.example.org"),
    ],
)
def test_w9_a_good_name_keeps_its_display_form_and_gets_one_canonical_form(raw, canonical):
    name = checked_username(raw)
    assert name.canonical == canonical
    assert canonical_username(raw) == canonical
    assert canonical_username(name.display) == canonical


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("straße@example.org", "strasse@example.org"),
        ("dırk@example.org", "dirk@example.org"),
        ("alice+a@example.org", "alice@example.org"),
        ("alice@example.org", "alice@example.com"),
        ("a.lice@example.org", "alice@example.org"),
        ("alice@faß.example.org", "alice@fass.example.org"),
    ],
)
def test_attack_115_different_mailboxes_never_share_a_canonical_form(one, other):
    assert checked_email(one).canonical != checked_email(other).canonical


def test_attack_115_case_and_width_do_not_make_another_mailbox():
    assert checked_email("Alice@Example.ORG").canonical == checked_email("alice@example.org").canonical
    assert checked_email("\u212aevin@example.org").canonical == "kevin@example.org"


@pytest.mark.parametrize(
    "raw",
    [
        "alice@example.org\r\nBcc: x@example.com",
        "a\nb@example.org",
        "a@b@example.org",
        '"a b"@example.org',
        "a@[127.0.0.1]",
        "",
        "a" * 300 + "@example.org",
        "a\u202eb@example.org",
        "ﬁ@example.org",
        "a\ud800@example.org",
        "a\x00@example.org",
    ],
)
def test_attack_116_what_is_no_plain_address_is_refused(raw):
    with pytest.raises(BadInput):
        checked_email(raw)


@given(st.text(max_size=300))
def test_attack_144_any_typed_text_has_a_bounded_storable_key_that_is_its_own_key(typed):
    key = canonical_username(typed)
    assert 0 < len(key) <= 254
    assert "\x00" not in key
    assert key.encode()
    assert canonical_username(key) == key


@given(st.from_regex(r"[A-Za-z0-9éüßÄ][A-Za-z0-9éüßÄ._+-]{1,30}", fullmatch=True))
def test_w9_creation_and_look_up_agree_on_every_name_that_can_exist(raw):
    assert checked_username(raw).canonical == canonical_username(raw)


@pytest.mark.parametrize("typed", ["a@" * 25_000, "a." * 25_000, "\u0301" * 50_000, "ａ" * 50_000])
def test_attack_140_fifty_kilobytes_are_refused_in_no_time(typed):
    with cost.within(1):  # a square would be a billion steps
        canonical_username(typed)
        for check in (checked_username, checked_email):
            with pytest.raises(BadInput):
                check(typed)
