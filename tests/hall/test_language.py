"""A page speaks the language that its reader chose, that the application said, or that the browser asks for (W-8)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from flask.testing import FlaskClient

from idp import language

SPANISH = {"Accept-Language": "es-MX,es;q=0.9,en;q=0.5"}


def speaks(answer: object) -> str:
    return str(answer.headers["Content-Language"])  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (["es-MX"], "es"),
        (["fr", "es"], "es"),
        (["EN-us"], "en"),
        (["fr"], None),
        ([], None),
        (["../es", "espanol"], None),
    ],
)
def test_w8_the_best_language_is_found_in_the_reader_s_order(wanted: list[str], found: str | None) -> None:
    assert language.best(wanted) == found


def test_w8_the_browser_s_languages_are_followed(client: FlaskClient) -> None:
    spanish = client.get("/help", headers=SPANISH)
    assert speaks(spanish) == "es" and '<html lang="es" dir="ltr">' in spanish.text
    assert speaks(client.get("/help", headers={"Accept-Language": "fr, de"})) == "en"
    assert speaks(client.get("/help")) == "en", "a request leaves no language behind for the next"


def test_w8_a_choice_is_remembered_and_leads_back(client: FlaskClient) -> None:
    page = client.get("/language?to=/help%3Fx%3D1")
    answer = client.post("/language", data={"csrf": _csrf(page.text), "language": "es", "to": "/help?x=1"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/help?x=1")
    assert speaks(client.get("/help")) == "es"
    assert speaks(client.get("/help", headers={"Accept-Language": "en"})) == "es", (
        "a choice is stronger than the browser"
    )


@pytest.mark.parametrize("elsewhere", ["//evil.example", "https://evil.example/", "/\\evil.example", "help"])
def test_7_76_the_way_back_from_the_language_page_stays_here(client: FlaskClient, elsewhere: str) -> None:
    page = client.get("/language", query_string={"to": elsewhere})
    assert "evil.example" not in page.text
    answer = client.post("/language", data={"csrf": _csrf(page.text), "language": "es", "to": elsewhere})
    assert answer.headers["Location"] == "/"


def test_an_unknown_language_is_refused_and_a_form_from_elsewhere_too(client: FlaskClient) -> None:
    page = client.get("/language")
    assert client.post("/language", data={"csrf": _csrf(page.text), "language": "../etc"}).status_code == 400
    assert client.post("/language", data={"language": "es"}).status_code == 403


def test_rfc6749_5_2_programs_are_answered_in_english(client: FlaskClient) -> None:
    answer = client.post("/token", headers=SPANISH)
    assert answer.status_code in (400, 401) and answer.get_data().isascii()


def test_a_moment_is_told_in_the_reader_s_language_and_zone() -> None:
    when = datetime(2026, 3, 2, 23, 4, tzinfo=UTC)
    with language.speaking("es"):
        assert language.moment(when, "Europe/Madrid").startswith("3 mar 2026")
    assert "Mar 2, 2026" in language.moment(when)


def test_a_sentence_without_translation_is_told_in_english_and_a_later_one_follows_its_reader() -> None:
    later = language.lazy_gettext("No catalog has this sentence.")
    with language.speaking("es"):
        assert str(later) == "No catalog has this sentence."


def test_right_to_left_languages_are_known() -> None:
    assert (language.direction("ar-EG"), language.direction("es")) == ("rtl", "ltr")


def _csrf(page: str) -> str:
    return page.split('name="csrf" value="')[1].split('"')[0]
