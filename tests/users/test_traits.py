"""The other claims of the scope `profile`: what they may hold, how they change, how they arrive (OIDC Core 5.1)."""

from __future__ import annotations

import io
import json
import unicodedata

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from idp import users
from idp.db import committing, db
from idp.errors import BadInput
from idp.users import traits
from tests.conftest import in_threads


@pytest.fixture
def sub(app) -> str:
    with committing():
        return users.create(username="alice", display_name="Alice").sub


def kept(sub: str) -> dict[str, str]:
    db.session.expire_all()
    return traits.of(users.get_by_sub(sub))


def changed_fields() -> list[list[str]]:
    rows = db.session.execute(sa.text("SELECT details FROM audit_events WHERE event = 'user.updated' ORDER BY id"))
    return [json.loads(row.details)["fields"] for row in rows]


def test_they_are_kept_and_only_their_names_are_written_down(sub: str) -> None:
    with committing():
        users.update(sub, actor="cli", nickname="Al", birthdate="1980-04-23", website="https://alice.example.org/")
        users.update(sub, actor="cli", nickname="Al", gender="")
    assert kept(sub) == {"nickname": "Al", "birthdate": "1980-04-23", "website": "https://alice.example.org/"}
    assert changed_fields() == [["birthdate", "nickname", "website"]]


def test_an_empty_value_takes_one_away(sub: str) -> None:
    with committing():
        users.update(sub, actor=None, nickname="Al", gender="female")
        users.update(sub, actor=None, nickname=" ")
        users.update(sub, actor=None, gender=None)
    assert kept(sub) == {} and users.get_by_sub(sub).traits is None


@pytest.mark.parametrize("text", ["1980-04-23", "0000-02-29", "1980", "2000-02-29", ""])
def test_dates_of_birth(sub: str, text: str) -> None:
    assert traits.checked("birthdate", text) == text


@pytest.mark.parametrize(
    "text",
    ["0000", "1700", "9999", "9999-01-01", "1980-13-01", "1981-02-29", "23.4.1980", "1980-4-23", "１９８０", "x"],
)
def test_what_is_no_date_of_birth(sub: str, text: str) -> None:
    with pytest.raises(BadInput, match="1980-04-23"):
        traits.checked("birthdate", text)


@pytest.mark.parametrize(
    "text",
    ["http://a.example.org/", "javascript:alert(1)", "data:,x", "//a.example.org", "https://", "https://a:x/",
     "https://u:p@a.example.org/", 'https://a.example.org/"><script>', "https://a.example.org/ x", "https://[", "a" * 501],
)  # fmt: skip
def test_attack_65_addresses_of_pages_are_https_and_nothing_else(sub: str, text: str) -> None:
    with pytest.raises(BadInput):
        users.update(sub, actor=None, picture=text)


@given(st.sampled_from(sorted(traits.TRAITS)), st.text(max_size=600))
def test_whatever_is_typed_is_kept_or_refused(field: str, text: str) -> None:
    try:
        found = traits.checked(field, text)
    except BadInput as refused:
        assert field in refused.fields
    else:
        assert len(found) <= 500 and not {unicodedata.category(letter) for letter in found} & {"Cc", "Cs", "Zl", "Zp"}


def test_two_changes_at_once_lose_nothing(app, sub: str) -> None:
    names = sorted(traits.TRAITS.keys() - {"birthdate"})

    def work(number: int) -> None:
        name = names[number % len(names)]
        value = f"https://{number}.example.org/" if name in ("profile", "picture", "website") else f"value {number}"
        with committing():
            users.update(sub, actor=None, **{name: value})

    assert in_threads(20, app, work) == [None] * 20
    assert sorted(kept(sub)) == names


def test_they_can_be_imported_and_brought_up_to_date(app) -> None:
    header = "username,nickname,birthdate,locale,zoneinfo,website\n"
    first = io.BytesIO(f"{header}bob,Bo,1980,es,America/Chicago,\ncarol,,,,,http://x\n".encode())
    outcomes = [(line.username, line.outcome) for line in users.import_csv(first)]
    assert outcomes == [("bob", "created"), ("carol", "refused")]
    bob = users.find_by_login("bob")
    assert bob and (bob.traits, bob.locale, bob.zoneinfo) == (
        {"nickname": "Bo", "birthdate": "1980"},
        "es",
        "America/Chicago",
    )
    second = io.BytesIO(f"{header}bob,Bobby,,,,https://bob.example.org/\n".encode())
    assert [line.outcome for line in users.import_csv(second, update_existing=True)] == ["updated"]
    assert traits.of(bob) == {"nickname": "Bobby", "birthdate": "1980", "website": "https://bob.example.org/"}
    assert bob.locale == "es"
