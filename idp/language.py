"""language — what a person reads, in their language. Sentences are written in English in the code; catalogs translate them.

A catalog is `idp/locale/<language>/LC_MESSAGES/idp.po`, read when its language is first asked for: there is no build step. The language of
the running request, mail or command is a context variable; `speaking` sets it. Sentences are marked with `gettext`, `ngettext` and
`lazy_gettext` (for module constants), in templates with `_()` and `ngettext()`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, tzinfo
from gettext import NullTranslations
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

SUPPORTED = {"en": "English", "es": "Español"}  # BCP 47 tag: its name in itself; the first is the language of the code
SOURCE = "en"
RIGHT_TO_LEFT = frozenset({"ar", "dv", "fa", "he", "ps", "ur", "yi"})

_spoken: ContextVar[str] = ContextVar("language", default=SOURCE)
_zone: ContextVar[str | None] = ContextVar("zone", default=None)


def current() -> str:
    """Return the tag of the language that is spoken now, one of SUPPORTED."""
    return _spoken.get()


def speak(tag: str) -> None:
    """Speak this language until told otherwise: what the edge does at the beginning of each request."""
    _spoken.set(tag if tag in SUPPORTED else SOURCE)


@contextmanager
def speaking(tag: str | None) -> Iterator[None]:
    """Speak another language for a while: that of a mail's reader. None or an unknown tag: the language of the code."""
    before = _spoken.set(tag if tag in SUPPORTED else SOURCE)
    try:
        yield
    finally:
        _spoken.reset(before)


def best(wanted: list[str]) -> str | None:
    """Return the supported language that fits a list of BCP 47 tags best, in their order (RFC 4647 section 3.4); None if none does."""
    for tag in wanted:
        primary = tag.strip().lower().partition("-")[0]
        if primary in SUPPORTED:
            return primary
    return None


def direction(tag: str) -> str:
    """Return how a language is written: ltr or rtl."""
    return "rtl" if tag.partition("-")[0] in RIGHT_TO_LEFT else "ltr"


def gettext(message: str, **values: Any) -> str:
    """Return a sentence in the language spoken now, with its %(name)s filled in."""
    return _filled(_catalog(current()).gettext(message), values)


def ngettext(one: str, many: str, num: int, **values: Any) -> str:
    """Return the sentence that fits a number; `%(num)s` is the number itself."""
    return _filled(_catalog(current()).ngettext(one, many, num), {"num": num, **values})


def plain_gettext(message: str) -> str:
    """Return a sentence as its catalog has it, placeholders and all; Jinja fills them in and escapes what it puts there."""
    return _catalog(current()).gettext(message)


def plain_ngettext(one: str, many: str, num: int) -> str:
    """Return the sentence that fits a number, placeholders and all."""
    return _catalog(current()).ngettext(one, many, num)


class Later:
    """A sentence that is translated when it is shown: module constants have no reader yet."""

    def __init__(self, message: str) -> None:
        self.message = message

    def __str__(self) -> str:
        return gettext(self.message)

    def __html__(self) -> str:
        from markupsafe import escape

        return str(escape(str(self)))

    def __repr__(self) -> str:
        return f"Later({self.message!r})"

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other) if isinstance(other, Later | str) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.message)


def marked(message: str) -> str:
    """Return the sentence as it is, marked for the catalogs: whoever shows it translates it."""
    return message


def lazy_gettext(message: str) -> Later:
    """Mark a sentence of a module constant; `str()` of it, or a template, translates it."""
    return Later(message)


def zone() -> str | None:
    """Return the time zone of the reader (IANA name), None when they have not chosen one."""
    return _zone.get()


def tell_time(zone: str | None) -> None:
    """Write dates and times in this zone until told otherwise; the edge forgets it at the beginning of each request."""
    _zone.set(zone)


def moment(when: datetime, zone: str | None = None) -> str:
    """Return a date and time as its reader writes them: in their language and time zone (else UTC), the zone named."""
    from babel.dates import format_date, format_time, get_datetime_format

    tag, local = current(), when.astimezone(_zone_named(zone or _zone.get()))
    day, clock = format_date(local, "medium", locale=tag), format_time(local, "short", locale=tag)
    both = str(get_datetime_format("medium", locale=tag)).replace("'", "")
    return both.replace("{1}", day).replace("{0}", clock) + f" {local.tzname()}"


def _zone_named(name: str | None) -> tzinfo:
    """Return a zone; UTC for none, and for one that this machine's zone data have dropped."""
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def _filled(message: str, values: dict[str, Any]) -> str:
    return message % values if values else message


@functools.cache
def _catalog(tag: str) -> NullTranslations:
    path = Path(__file__).parent / "locale" / tag / "LC_MESSAGES" / "idp.po"
    if not path.exists():
        return NullTranslations()
    return _read(path)


def _read(path: Path) -> NullTranslations:
    """Read a catalog; an unfinished (fuzzy) translation counts as none."""
    import io

    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po
    from babel.support import Translations

    with path.open("rb") as written:
        catalog = read_po(written)
    compiled = io.BytesIO()
    write_mo(compiled, catalog, use_fuzzy=False)
    compiled.seek(0)
    return Translations(fp=compiled, domain="idp")
