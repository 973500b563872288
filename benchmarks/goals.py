"""What is to be reached, and whether this run reached it. A figure that was not measured is no goal that was met."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from benchmarks.bench import Found
from benchmarks.turns import Table

NODE, DJANGO, CANAILLE = "node-oidc-provider", "django-oauth-toolkit", "canaille"
BESIDE_NODE = {
    "discovery": 4.0, "jwks": 4.0, "client_credentials_jwt": 2.0, "client_credentials_opaque": 1.2, "introspection": 1.2,
    "refresh": 1.5, "code_flow": 1.5,
}  # fmt: skip
BESIDE_DJANGO_AND_CANAILLE = 10.0
SIGN_IN_SHARE, FLOOD_SHARE = 0.95, 0.70
WORKER_MB, COLD_START_S = 120.0, 1.0
P99_OVER_P50, FLAT = 10.0, 1.10


@dataclass(frozen=True)
class Goal:
    """One of them. `value` is None where nothing was measured."""

    text: str
    value: float | None
    limit: float
    at_most: bool = False
    unit: str = ""
    about: str = ""  # the work behind it, as the stage `profile` names it

    @property
    def is_met(self) -> bool:
        """Whether the figure is there and good enough."""
        if self.value is None:
            return False
        return self.value <= self.limit if self.at_most else self.value >= self.limit

    @property
    def verdict(self) -> str:
        """Say it in a word or two."""
        return "not measured" if self.value is None else "met" if self.is_met else "missed"


def judge(found: Mapping[str, Found]) -> list[Goal]:
    """Return every goal whose stage was part of this run."""
    stages = (
        ("peers", _peers),
        ("sign_in", _sign_in),
        ("flood", _flood),
        ("starting", _starting),
        ("steady", _steady),
        ("sizes", _sizes),
    )
    return [goal for name, judged in stages if name in found for goal in judged(found[name])]


def _peers(found: Found) -> Iterator[Goal]:
    tables = {table.name: table for table in found.tables}
    for name, limit in BESIDE_NODE.items():
        yield Goal(f"{_title(tables, name)}: idp ÷ {NODE}", _ratio(tables, name, NODE), limit, unit=" ×", about=name)
    for peer in (DJANGO, CANAILLE):
        for name in BESIDE_NODE:
            row = tables[name].rows.get(peer) if name in tables else None
            if row is not None and row.trouble != "has no such thing":
                yield Goal(
                    f"{_title(tables, name)}: idp ÷ {peer}",
                    _ratio(tables, name, peer),
                    BESIDE_DJANGO_AND_CANAILLE,
                    unit=" ×",
                    about=name,
                )


def _sign_in(found: Found) -> Iterator[Goal]:
    tables = {table.name: table for table in found.tables}
    yield Goal(
        "Password sign-in, share of what the hash allows",
        _ratio(tables, "sign_in", "idp"),
        SIGN_IN_SHARE,
        about="sign_in",
    )


def _flood(found: Found) -> Iterator[Goal]:
    tables = {table.name: table for table in found.tables}
    yield Goal(
        "Token rate kept during a flood of sign-ins",
        _ratio(tables, "flood", "during the flood"),
        FLOOD_SHARE,
        about="flood",
    )


def _starting(found: Found) -> Iterator[Goal]:
    known = {fact.name: fact.value for fact in found.facts}
    yield Goal("Memory of a worker", known.get("idp.worker"), WORKER_MB, at_most=True, unit=" MB", about="worker")
    yield Goal(
        "Cold start to the first good answer",
        known.get("idp.cold_start"),
        COLD_START_S,
        at_most=True,
        unit=" s",
        about="cold_start",
    )


def _steady(found: Found) -> Iterator[Goal]:
    for table in found.tables:
        for row in table.rows.values():
            p50, p99 = row.median("p50_ms"), row.median("p99_ms")
            yield Goal(
                f"{table.title}: p99 ÷ p50 at 70 % load",
                p99 / p50 if p50 and p99 else None,
                P99_OVER_P50,
                at_most=True,
                unit=" ×",
                about=f"steady_{table.name}",
            )


def _sizes(found: Found) -> Iterator[Goal]:
    for table in found.tables:
        if "large" not in table.rows:
            continue
        yield Goal(
            f"{table.title}: cost with a large store ÷ with a small one",
            table.ratio("large"),
            FLAT,
            at_most=True,
            unit=" ×",
            about=f"sizes_{table.name}",
        )


def _title(tables: Mapping[str, Table], name: str) -> str:
    return tables[name].title if name in tables else name


def _ratio(tables: Mapping[str, Table], name: str, row: str) -> float | None:
    return tables[name].ratio(row) if name in tables else None
