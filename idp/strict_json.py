"""strict_json — JSON of strangers, read so that it can be kept, compared and written again everywhere (I-JSON, RFC 7493).

Python reads more than JSON, and more than our stores can hold: NaN, 1e999, numbers of any length, half a surrogate pair, a member
twice. What is read here goes into Redis, both databases and tokens without a surprise (attacks 19, 144).
"""

from __future__ import annotations

import json
from typing import Any

MAX_INT = 2**53 - 1  # what every reader of JSON has in common (RFC 7493 section 2.2)
MAX_DEPTH = 16


def loads(raw: str | bytes, *, max_depth: int = MAX_DEPTH) -> Any:
    """Return the value of a JSON text. Raises ValueError for what is no I-JSON or is nested deeper than `max_depth`."""
    try:
        text = raw.decode() if isinstance(raw, bytes) else raw
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
        raise ValueError("a member came twice")  # two readers could read two things
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
