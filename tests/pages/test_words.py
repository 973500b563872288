"""Every word that a person reads can be translated: it stands in `_("…")`, whole and with named placeholders (W-8)."""

from __future__ import annotations

import re
from pathlib import Path

from jinja2 import Environment

from tests.each import on_each
from tests.pages.conftest import STATIC, TEMPLATES

FILES = sorted(TEMPLATES.glob("*.html"))
READ_ALOUD = re.compile(
    r'(?:aria-label|title|alt|placeholder|data-(?:met|left|done|failed|shown|hidden-now))="([^"]*)"'
)
NOT_WORDS = {"idp", "·"}


def _without_code(source: str) -> str:
    source = re.sub(r"\{#.*?#\}|\{\{.*?\}\}|\{%.*?%\}", " ", source, flags=re.DOTALL)
    return re.sub(r"<script\b.*?</script>", " ", source, flags=re.DOTALL)


@on_each("path", FILES, called=lambda path: path.name)
def test_no_words_outside_gettext(path: Path) -> None:
    bare = re.sub(
        r"<[^>]*>|aria-[a-z]+=\"[^\"]*\"", " ", _without_code(path.read_text())
    )  # a macro writes attributes alone
    assert [word for word in bare.split() if word not in NOT_WORDS and re.search(r"[^\W\d_]", word)] == []


@on_each("path", FILES, called=lambda path: path.name)
def test_no_attribute_that_is_read_aloud_outside_gettext(path: Path) -> None:
    bare = [value for value in READ_ALOUD.findall(_without_code(path.read_text())) if re.search(r"[^\W\d_]", value)]
    assert bare == []


@on_each("path", FILES, called=lambda path: path.name)
def test_sentences_are_whole_and_placeholders_named(path: Path, pages: Environment) -> None:
    found = list(pages.extract_translations(path.read_text()))  # type: ignore[attr-defined]
    messages = [message[0] if isinstance(message, tuple) else message for _, _, message in found]
    for message in messages:
        assert message == message.strip() and "  " not in message
        assert re.sub(r"%\([a-z]+\)s", "", message).count("%") == 0, message


@on_each("path", sorted(STATIC.glob("js/*.js")), called=lambda path: path.name)
def test_scripts_bring_no_words_of_their_own(path: Path) -> None:
    code = re.sub(r"^//.*$|\s//.*$", "", path.read_text(), flags=re.MULTILINE)
    strings = re.findall(r'"([^"]*)"|`([^`]*)`', code)
    spoken = [text for pair in strings for text in pair if re.search(r"[A-Za-z]{2,} [A-Za-z]{2,}", text)]
    assert [text for text in spoken if text != "use strict"] == []
