"""Every sentence that a person reads is in every catalog, with the same placeholders (W-8). `make messages` collects them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import read_po

from idp import language

ROOT = Path(__file__).parents[2]
KEYWORDS = DEFAULT_KEYWORDS | {"lazy_gettext": None, "marked": None}
TRANSLATED = sorted(set(language.SUPPORTED) - {language.SOURCE})
PLACEHOLDER = re.compile(r"%\((\w+)\)[sd]")


@pytest.fixture(scope="module")
def sentences() -> set[str]:
    """What code and templates say, found anew."""
    found: set[str] = set()
    for folder, method, pattern in (("idp", "python", "**.py"), ("templates", "jinja2.ext:babel_extract", "**.*")):
        for *_, message, _, _ in extract_from_dir(ROOT / folder, [(pattern, method)], keywords=KEYWORDS):
            found.add(message[0] if isinstance(message, tuple) else message)
    return found


def catalog(tag: str) -> Catalog:
    with (ROOT / "idp" / "locale" / tag / "LC_MESSAGES" / "idp.po").open("rb") as file:
        return read_po(file, locale=tag)


@pytest.mark.parametrize("tag", TRANSLATED)
def test_w8_no_sentence_is_without_translation_and_none_is_left_over(tag: str, sentences: set[str]) -> None:
    known = {first(message.id): message for message in catalog(tag) if message.id}
    assert len(sentences) > 300
    assert sorted(sentences - set(known)) == [], "run `make messages` and translate these"
    assert sorted(set(known) - sentences) == [], "run `make messages`: nobody says these any more"
    assert [name for name, message in known.items() if not all(forms(message.string)) or message.fuzzy] == []


@pytest.mark.parametrize("tag", TRANSLATED)
def test_w8_a_translation_has_the_placeholders_of_its_sentence(tag: str) -> None:
    for message in catalog(tag):
        if not message.id:
            continue
        wanted = {name for form in forms(message.id) for name in PLACEHOLDER.findall(form)}
        for form in forms(message.string):
            assert set(PLACEHOLDER.findall(form)) <= wanted, form
            assert wanted - set(PLACEHOLDER.findall(form)) <= {"num"}, form
            assert "%" not in PLACEHOLDER.sub("", form).replace("%%", ""), form


@pytest.mark.parametrize("tag", TRANSLATED)
def test_w8_a_catalog_fits_its_language_s_plurals(tag: str) -> None:
    made = catalog(tag)
    assert str(made.locale) == tag
    assert all(len(message.string) == made.num_plurals for message in made if isinstance(message.id, tuple))


def forms(text: str | tuple[str, ...] | list[str]) -> Iterator[str]:
    """One sentence, or its singular and plurals."""
    return iter([text] if isinstance(text, str) else list(text))


def first(message: str | tuple[str, ...] | list[str]) -> str:
    return next(forms(message))
