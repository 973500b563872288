"""Taking turns, so that what else the machine does falls on everybody; and the medians of what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median

import httpx

from benchmarks.browser import NotSignedIn
from benchmarks.load import NoGenerator, Round

Turn = Callable[[float], Round]  # takes the seconds of a round
_WARM_UP_S = 1.0


class NoSuchThing(Exception):
    """This server has no such endpoint or format."""


@dataclass
class Row:
    """What one contestant brought, or why there is nothing."""

    rounds: list[Round] = field(default_factory=list)
    trouble: str = ""

    def median(self, what: str = "rate") -> float | None:
        """Return the median of a figure over the rounds."""
        return median(getattr(one, what) for one in self.rounds) if self.rounds else None

    def sum(self, what: str) -> int:
        """Return a count over all rounds."""
        return sum(getattr(one, what) for one in self.rounds)


@dataclass
class Table:
    """Contestants of one kind of work. `compares` is the heading of the last column: base ÷ row, or row ÷ base."""

    name: str
    title: str
    unit: str
    rows: dict[str, Row]
    base: str = ""
    compares: str = ""
    row_over_base: bool = False
    note: str = ""

    def ratio(self, name: str) -> float | None:
        """Return how a row compares with the base, by medians."""
        base, row = (self.rows[one].median() if one in self.rows else None for one in (self.base, name))
        if name == self.base or not base or not row:
            return None
        return row / base if self.row_over_base else base / row


def take(
    title: str, turns: Mapping[str, Turn], *, rounds: int, seconds: float, fewer: Mapping[str, int] | None = None
) -> dict[str, Row]:
    """Let everybody have their turns; one short one before, to warm up. Who fails once is left out and the row says why.

    `fewer`: who has fewer rounds than the others.
    """
    rows = {name: Row() for name in turns}
    for number in range(rounds + 1):
        for name, turn in turns.items():
            if rows[name].trouble or number > (fewer or {}).get(name, rounds):
                continue
            brought = _one(turn, rows[name], seconds if number else _WARM_UP_S)
            if number and brought is not None:
                rows[name].rounds.append(brought)
    told = (f"{name} {row.trouble or format(row.median() or 0, ',.1f')}" for name, row in rows.items())
    print(f"  {title}: {', '.join(told)}", flush=True)
    return rows


def _one(turn: Turn, row: Row, seconds: float) -> Round | None:
    try:
        brought = turn(seconds)
    except NoSuchThing:
        row.trouble = "has no such thing"
        return None
    except (NotSignedIn, NoGenerator, httpx.HTTPError, KeyError, OSError) as trouble:
        row.trouble = f"not measured: {type(trouble).__name__} {' '.join(str(trouble).split())[:200]}"
        return None
    if not brought.rate:  # a round without one good answer is no figure
        row.trouble = f"not measured: no good answer ({brought.first_bad[:200] or brought.bad})"
        return None
    return brought
