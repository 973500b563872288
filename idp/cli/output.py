"""Answers: aligned tables and facts for people, plain data for JSON."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Any

import click

from idp.spelling import spell_out


def plain(value: Any) -> Any:
    """Turn an answer into what JSON knows: ISO times in UTC, lists, objects."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner) for inner in value]
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds").replace("+00:00", "Z")
    if isinstance(value, Enum):
        return value.value
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, empty: str) -> None:
    """Print rows under their column names, aligned; the last column may be as long as it likes."""
    if not rows:
        click.echo(empty)
        return
    lines = [[cell(row.get(column)) for column in columns] for row in rows]
    widths = [
        max(_width(text) for text in texts)
        for texts in zip([c.upper() for c in columns], *lines, strict=True)  # titles count too
    ]
    click.echo(click.style(_line([column.replace("_", " ").upper() for column in columns], widths), bold=True))
    for line in lines:
        click.echo(_line(line, widths))


def facts(values: Mapping[str, Any], *, literal: bool = False) -> None:
    """Print one thing, a line a fact; `literal` leaves the names as they are written elsewhere."""
    width = max((len(name) for name in values), default=0)
    for name, value in values.items():
        shown = name if literal else name.replace("_", " ")
        click.echo(f"{click.style(shown.ljust(width), bold=True)}  {cell(value)}")


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell + " " * (width - _width(cell)) for cell, width in zip(cells, widths, strict=True)]
    return "  ".join(padded).rstrip()


def cell(value: Any) -> str:
    """Return a value as text for a person: nothing that steers a terminal."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}Z"
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(cell(inner) for inner in value) or "-"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={cell(inner)}" for key, inner in value.items()) or "-"
    return spell_out(str(value))


def _width(text: str) -> int:
    """Columns on a terminal: wide characters take two, combining ones none."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(unicodedata.combining(character) != 0 for character in text)
