"""mail.letter — one template, one reader, two renderings: plain text, and the same paragraphs as HTML.

`templates/mail/<name>.txt` is the only source. It begins with "Subject: …" and an empty line; paragraphs are parted by empty
lines. An address of ours becomes a link; a paragraph of two lines, words and then an address of ours, becomes a button with the
address below it. What follows the line "-- " is the foot. Nothing else is a link, nothing is loaded from anywhere.
"""

from __future__ import annotations

import re

from flask import render_template
from markupsafe import Markup, escape

from idp import language
from idp.config import settings
from idp.record import Record

MAX_SUBJECT = 200
_FOOT = "\n-- \n"


class Letter(Record):
    """A mail as its reader sees it."""

    subject: str
    text: str
    html: str = ""
    language: str = language.SOURCE


class Paragraph(Record):
    """A paragraph for the HTML frame: its lines, or a button with its address."""

    lines: tuple[Markup, ...]
    link: str | None = None  # then the lines are the button's words


def write(template: str, /, *, locale: str | None = None, **values: object) -> Letter:
    """Render a mail for a reader of `locale` (BCP 47; None: the language that is spoken now)."""
    tag = language.best([locale]) if locale else None
    with language.speaking(tag or language.current()):
        shared = {"support": settings().support, "issuer": settings().server.issuer}
        raw = render_template(f"mail/{template}.txt", **shared, **values)
        head, _, body = raw.lstrip().partition("\n\n")
        subject = one_line(head.removeprefix("Subject:"))[:MAX_SUBJECT]
        main, _, foot = body.partition(_FOOT)
        parts = [paragraph(part) for part in _parts(main)]
        frame = {"subject": subject, "paragraphs": parts, "foot": foot.strip().splitlines()}
        html = render_template("mail/_frame.html", **frame)
        return Letter(subject, body.strip() + "\n", html, language.current())


def paragraph(text: str) -> Paragraph:
    """Read one paragraph of the text."""
    lines = text.splitlines()
    if len(lines) == 2 and is_ours(lines[1]):
        return Paragraph((escape(lines[0].rstrip(":")),), lines[1])
    return Paragraph(tuple(_linked(line) for line in lines))


def is_ours(url: str) -> bool:
    """Say whether this is an address of ours and nothing else."""
    issuer = settings().server.issuer
    return url.startswith(f"{issuer}/") and re.search(r"[\s<>\"\\]", url) is None


def one_line(text: str) -> str:
    """Fold anything that could start another header (attack 116)."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text).strip()


def _parts(text: str) -> list[str]:
    return [part.strip("\n") for part in re.split(r"\n\s*\n", text.strip()) if part.strip()]


def _linked(line: str) -> Markup:
    """Escape a line; what begins with our own address and a slash becomes a link."""
    found = Markup()
    for piece in re.split(rf"({re.escape(settings().server.issuer)}/[^\s<>\"\\]*)", line):
        found += Markup('<a href="{0}">{0}</a>').format(piece) if is_ours(piece) else escape(piece)
    return found
