"""strict_json — JSON of strangers, read so that it can be kept, compared and written again everywhere (I-JSON, RFC 7493).

Python reads more than JSON, and more than our stores can hold: NaN, 1e999, numbers of any length, half a surrogate pair, a member
twice. What is read here goes into Redis, both databases and tokens without a surprise (attacks 19, 144).

Every token is read here, so a text without a backslash takes a short way: orjson refuses what is no JSON and what is not UTF-8. It keeps the
last of two equal members, which a count of the colons between the strings gives away, and it may make a float of a whole number, so any
text with a float is read again by the long way, which sees the digits. A test holds the two together.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import orjson

MAX_INT = 2**53 - 1  # what every reader of JSON has in common (RFC 7493 section 2.2)
MAX_DEPTH = 16


class _HasFloat(Exception):
    """There is a number whose digits have to be seen."""


def loads(raw: str | bytes, *, max_depth: int = MAX_DEPTH) -> Any:
    """Return the value of a JSON text. Raises ValueError for what is no I-JSON or is nested deeper than `max_depth`."""
    text = raw.decode() if isinstance(raw, bytes) else raw
    if "\\" in text:
        return read_digits(text, max_depth=max_depth)
    found = orjson.loads(text)
    try:
        members = _members((found,), max_depth)
    except _HasFloat:
        return read_digits(text, max_depth=max_depth)
    if text.count(":") != members and "".join(text.split('"')[::2]).count(":") != members:
        raise ValueError("a member came twice")  # two readers could read two things
    return found


def read_digits(text: str, *, max_depth: int = MAX_DEPTH) -> Any:
    """Return what `loads` returns, or refuse what it refuses, by looking at every number as it is written."""
    try:
        found = json.loads(
            text, object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite, parse_int=_common
        )
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
    _check(found, max_depth)
    return found


def is_text(value: str) -> bool:
    """Say whether a text can be written as UTF-8: half a surrogate pair cannot."""
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def _members(inside: Iterable[Any], levels: int) -> int:
    """Count the members of all objects among these values, and judge numbers and depth. Raises ValueError and _HasFloat."""
    count = 0
    for value in inside:
        kind = type(value)
        if kind is str:
            continue
        if kind is int and not -MAX_INT <= value <= MAX_INT:
            raise ValueError("a number is too large")
        if kind is float:
            raise _HasFloat
        if kind is dict or kind is list:
            if levels == 0:
                raise ValueError("the JSON is nested too deeply")
            count += _members(value, levels - 1) if kind is list else len(value) + _members(value.values(), levels - 1)
    return count


def _check(value: Any, levels: int) -> None:
    if isinstance(value, str) and not is_text(value):
        raise ValueError("half a surrogate pair is no text")
    if not isinstance(value, dict | list):
        return
    if levels == 0:
        raise ValueError("the JSON is nested too deeply")
    for child in value.values() if isinstance(value, dict) else value:
        _check(child, levels - 1)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member came twice")
    if not all(map(is_text, found)):
        raise ValueError("half a surrogate pair is no name")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    found = float(digits)
    if found in (float("inf"), float("-inf")):
        raise ValueError("a number is too large")
    return found


def _common(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > MAX_INT:
        raise ValueError("a number is too large")
    return int(digits)
