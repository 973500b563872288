"""A language in which every translated sentence stands in ⟦…⟧: what a page says outside of them was never translated (W-8)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from gettext import NullTranslations
from html.parser import HTMLParser

OPEN, CLOSE = "⟦", "⟧"
SILENT = {"script", "style", "svg"}
SPOKEN = {
    "title",
    "alt",
    "placeholder",
    "aria-label",
    "aria-description",
    "aria-roledescription",
    "aria-valuetext",
    "summary",
}
VOID = {"meta", "link", "input", "br", "hr", "img"}
WORD = re.compile(r"[^\W\d_]{2,}")


class Pseudo(NullTranslations):
    """The catalog: a sentence in brackets, placeholders and all."""

    def gettext(self, message: str) -> str:
        return f"{OPEN}{message}{CLOSE}"

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return f"{OPEN}{msgid1 if n == 1 else msgid2}{CLOSE}"


def outside(text: str) -> str:
    """Return what of a text stands outside of all brackets, one line a piece."""
    depth, left = 0, []
    for letter in text:
        depth += (letter == OPEN) - (letter == CLOSE)
        left.append(letter if depth == 0 and letter != CLOSE else "\n" if letter in (OPEN, CLOSE) else "")
    return "".join(left)


def untranslated(source: str, data: re.Pattern[str]) -> list[str]:
    """Return the words of a page that are in no bracket and are not data; `data` matches a whole piece of text."""
    reader = _Words()
    reader.feed(source)
    reader.close()
    pieces = [
        *outside("".join(reader.text)).splitlines(),
        *(line for one in reader.read_aloud for line in outside(one).splitlines()),
    ]
    stripped = (" ".join(piece.replace("· idp", "").split()).strip(" ·:,.;()–—“”\"'") for piece in pieces)
    return [piece for piece in stripped if WORD.search(piece) and not data.fullmatch(piece)]


class _Words(HTMLParser):
    """The text that a person sees, and the attributes that are read to them; elements end a line."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.read_aloud: list[str] = []
        self.silent: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        self.read_aloud += _spoken_of(tag, known)
        self.text.append("\n")
        if tag not in VOID and (tag in SILENT or self.silent):
            self.silent.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.text.append("\n")
        if self.silent:
            self.silent.pop()

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass  # drawings only

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.text.append(data)


def _spoken_of(tag: str, known: dict[str, str]) -> Iterator[str]:
    for name, value in known.items():
        sentence = name.startswith("data-") and " " in value.strip()  # the texts that scripts show
        if (
            name in SPOKEN
            or sentence
            or (tag == "input" and name == "value" and known.get("type") in ("submit", "button"))
        ):
            yield value
