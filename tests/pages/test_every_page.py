"""What holds for every page in every state: strict CSP, structure, names, labels, ways onward (standards 9, ASVS V3)."""

from __future__ import annotations

import re
from itertools import pairwise

from tests.pages.conftest import STATIC, TEMPLATES, on_every_page
from tests.pages.document import Page
from tests.pages.samples import CASES

OUTWARD = {
    "action",
    "href",
}  # links to relying apps and support lead outward on purpose; nothing is *loaded* from outside


def test_every_template_that_is_a_page_has_a_sample() -> None:
    pages = {path.name for path in TEMPLATES.glob("*.html") if not path.name.startswith("_")} - {"base.html"}
    own = {name for name in pages if "base.html" in (TEMPLATES / name).read_text()}
    assert {template for template, _ in CASES} <= own
    assert {template for template, _ in CASES} >= own - _pages_of_other_rooms()


def _pages_of_other_rooms() -> set[str]:
    return {path.name for path in TEMPLATES.glob("*.html") if path.name.startswith(("account_", "admin_"))}


@on_every_page
def test_nothing_inline_that_the_csp_would_block(page: Page) -> None:
    assert not page.all("style", "base", "object", "embed")
    for frame in page.all("iframe"):  # an application that hears of a sign-out may not take the window away
        assert frame["sandbox"] == "allow-scripts allow-same-origin" and frame["title"] and frame.has("hidden")
    assert all(script.get("src") and not script.text.strip() for script in page.all("script"))
    for element in page.elements:
        assert not element.has("style"), element
        assert not [name for name in element.attributes if name.startswith("on")], element
        assert not (element.get("href") or "").lower().startswith(("javascript:", "data:")), element


@on_every_page
def test_nothing_is_loaded_from_another_host(page: Page) -> None:
    loaded = [e["src"] for e in page.all("script", "img", "source")] + [e["href"] for e in page.all("link")]
    assert loaded
    for address in loaded:
        assert address.startswith("/static/"), address
        assert (STATIC / address.removeprefix("/static/").split("?")[0]).is_file(), address


@on_every_page
def test_the_document_is_whole(page: Page) -> None:
    assert page.source.lstrip().startswith("<!doctype html>")
    assert page.unclosed == []
    ids = [element["id"] for element in page.elements if element.has("id")]
    assert len(ids) == len(set(ids))
    assert page.one("html")["lang"] == "en"
    assert page.one("meta", name="viewport")["content"] == "width=device-width, initial-scale=1"  # zoom stays possible


@on_every_page
def test_one_heading_of_the_page_and_no_level_skipped(page: Page) -> None:
    levels = [int(e.tag[1]) for e in page.all("h1", "h2", "h3", "h4")]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


@on_every_page
def test_the_title_says_what_the_page_is(page: Page) -> None:
    assert re.fullmatch(r"(Error: )?\S.+ · idp", page.title)
    assert page.title.startswith("Error: ") == bool(page.problem or "Error: " in page.title)


@on_every_page
def test_landmarks_and_the_way_past_the_header(page: Page) -> None:
    assert [e.tag for e in page.all("header", "main", "footer")] == ["header", "main", "footer"]
    skip = page.all("a")[0]
    assert skip["href"] == "#main"
    assert page.by_id("main") is not None


@on_every_page
def test_every_field_has_a_label(page: Page) -> None:
    labelled = {e["for"]: e.text.strip() for e in page.all("label")}
    for entry in page.fields():
        assert labelled.get(entry.get("id") or "") or entry.get("aria-label"), entry


@on_every_page
def test_every_button_and_link_has_a_name(page: Page) -> None:
    for element in page.all("button", "a"):
        assert element.text.strip() or element.get("aria-label"), element
    for button in page.all("button"):
        assert button.get("type") in ("submit", "button"), button


@on_every_page
def test_every_reference_by_id_leads_somewhere(page: Page) -> None:
    for element in page.elements:
        names = " ".join(element.get(a) or "" for a in ("aria-describedby", "aria-labelledby", "aria-controls", "for"))
        scripted = " ".join(value for name, value in element.attributes.items() if name in SCRIPTED)
        for name in (names + " " + scripted).split():
            assert page.by_id(name), f"{element.tag}: #{name} is missing"
        if (element.get("href") or "").startswith("#"):
            assert page.by_id(element["href"][1:]), element


SCRIPTED = ("data-reveals", "data-status", "data-copies", "data-rules-for")


@on_every_page
def test_what_only_a_script_can_do_is_hidden_without_it(page: Page) -> None:
    for button in page.all("button"):
        if button["type"] == "button":
            assert button.has("hidden"), button


@on_every_page
def test_forms_post_to_us_and_carry_the_csrf_token(page: Page) -> None:
    for form in page.all("form"):
        assert form["method"] == "post"
        if form.get("id") == "form-post":
            continue  # it goes to the relying app, which has no business with our token
        assert (form.get("action") or "/").startswith("/")
        assert [e for e in page.all("input") if form in e.inside and e.get("name") == "csrf"]


@on_every_page
def test_pictures_are_named_or_silent(page: Page) -> None:
    for picture in page.all("svg"):
        named = any(parent.get("role") == "img" and parent.get("aria-label") for parent in picture.inside)
        assert named or picture.get("aria-hidden") == "true", picture
    assert not page.all("img")


@on_every_page
def test_no_field_hinders_paste_or_password_managers(page: Page) -> None:
    for entry in page.fields():
        assert not entry.has("maxlength") and not entry.has("onpaste")
        assert entry.get("autocomplete") not in ("off", "", "on")
        if entry.get("type") in ("text", "email", "password"):
            assert entry.has("readonly") or (entry["autocapitalize"], entry["spellcheck"]) == ("none", "false")


@on_every_page
def test_every_page_says_whom_to_ask_and_leads_on(page: Page) -> None:
    foot = page.one("footer")
    assert (
        "Clinical service desk" in foot.text and "+1 555 0100" in foot.text and "servicedesk@example.org" in foot.text
    )
    onward = [e for e in page.all("a", "button") if any(parent.tag == "main" for parent in e.inside)]
    assert [e for e in onward if not e.has("hidden")], "a dead end"


@on_every_page
def test_text_from_outside_is_escaped(page: Page) -> None:
    assert "<script>alert" not in page.source
    assert "<b>not markup</b>" not in page.source
