"""The page and the record of a run, and how a later run compares with it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.bench import Found
from benchmarks.goals import Goal
from benchmarks.turns import Row, Table

JUDGEMENT = Path(__file__).parent / "judgement.toml"
TIE = 0.25  # of what is within this nobody knows on a shared machine

Ratios = dict[str, dict[str, float]]


def ratios(found: Mapping[str, Found]) -> Ratios:
    """Return every last column, by stage and table, then by row."""
    told: Ratios = {}
    for stage in found.values():
        for table in stage.tables:
            columns = {name: round(ratio, 3) for name in table.rows if (ratio := table.ratio(name)) is not None}
            if columns:
                told[f"{stage.name}/{table.name}"] = columns
    return told


def page(found: Mapping[str, Found], goals: list[Goal], about: Mapping[str, str]) -> str:
    """Return the page, Markdown."""
    parts = [
        "# What a request costs\n",
        f"Made by `make bench` on {about['made_at']}. Nothing here was typed by hand.\n",
        f"{about['machine']}. {about['versions']}. {about['stores']}. {about['settings']} The server stands on one core; wrk and the stores on "
        "the other. Each server has its round in turn, so that what else the machine does falls on all; figures are medians of the rounds, in "
        "brackets the slowest and the fastest. `CPU` is what one answer costs the server, with what it has to do afterwards (the audit's "
        f"chain). Compare ratios within this page: absolute figures are the machine's, and less than {TIE:.0%} apart is a tie.\n",
    ]
    if goals:
        met = sum(goal.is_met for goal in goals)
        parts += [f"## Goals: {met} of {len(goals)} met\n", "| goal | wanted | measured | |", "|---|---|---|---|"]
        parts += [*(_goal(goal) for goal in goals), ""]
    parts += missed(found, goals, judgements(JUDGEMENT))
    for part in found.values():
        parts += stage(part)
    return "\n".join(parts)


def missed(found: Mapping[str, Found], goals: list[Goal], judged: Mapping[str, str]) -> list[str]:
    """Return, for each kind of work whose goal was missed: where its CPU goes, as measured, and what somebody thinks it would take."""
    profile = {fact.name: fact for fact in found["profile"].facts} if "profile" in found else {}
    works = dict.fromkeys(goal.about for goal in goals if goal.value is not None and not goal.is_met)
    if not works:
        return []
    told = [
        "## What was missed\n",
        "*Measured* is from this run; *judgement* was written by hand (judgement.toml) and is no measurement.\n",
    ]
    for about in works:
        told += [
            f"* {goal.text}: {_value(goal)}"
            for goal in goals
            if goal.about == about and goal.value is not None and not goal.is_met
        ]
        if fact := profile.get(about.removeprefix("sizes_").removeprefix("steady_")):
            shares = ", ".join(f"{name} {share:.0%}" for name, share in fact.parts.items())
            told.append(f"  * measured: {fact.value:.3g} {fact.unit}: {shares}")
        if about in judged:
            told.append(f"  * judgement: {judged[about]}")
    return [*told, ""]


def judgements(file: Path) -> dict[str, str]:
    """Return what was written by hand, by kind of work."""
    return {name: " ".join(str(text).split()) for name, text in tomllib.loads(file.read_text("utf-8")).items()}


def record(found: Mapping[str, Found], goals: list[Goal], about: Mapping[str, str]) -> str:
    """Return the same for programs, JSON."""
    told: dict[str, Any] = {"about": dict(about), "ratios": ratios(found)}
    told["goals"] = [asdict(goal) | {"verdict": goal.verdict} for goal in goals]
    told["stages"] = {name: asdict(stage) for name, stage in found.items()}
    return json.dumps(told, indent=1, ensure_ascii=False) + "\n"


def compare(now: Ratios, recorded: Path) -> list[str]:
    """Return how the ratios stand to the recorded ones, a line each, the changed ones marked; a clock never fails a build."""
    if not recorded.exists():
        return ["No full run is recorded yet; `make bench` makes one."]
    before: Ratios = json.loads(recorded.read_text("utf-8")).get("ratios", {})
    both = [
        (table, row, ratio, before.get(table, {}).get(row))
        for table, found in now.items()
        for row, ratio in found.items()
    ]
    known = [(table, row, ratio, old) for table, row, ratio, old in both if old]
    lines = [
        f"{_mark(ratio, old)} {table:40} {row:26} {ratio:8.2f}  recorded {old:8.2f}" for table, row, ratio, old in known
    ]
    lines += [
        f"? {table:40} {row:26} {ratio:8.2f}  not in the recorded run" for table, row, ratio, old in both if not old
    ]
    changed = sum(_mark(ratio, old) != " " for _, _, ratio, old in known)
    return [*lines, f"{changed} of {len(known)} ratios are more than {TIE:.0%} away from the recorded run."]


def _mark(ratio: float, old: float) -> str:
    return "↓" if ratio < old * (1 - TIE) else "↑" if ratio > old * (1 + TIE) else " "


def _goal(goal: Goal) -> str:
    sign, form = "≤" if goal.at_most else "≥", ".0%" if not goal.unit else ",.2f"
    return f"| {goal.text} | {sign} {goal.limit:{form}}{goal.unit} | {_value(goal)} | {goal.verdict} |"


def _value(goal: Goal) -> str:
    return "—" if goal.value is None else f"{goal.value:{'.0%' if not goal.unit else ',.2f'}}{goal.unit}"


def stage(found: Found) -> list[str]:
    """Return the part of the page about one found."""
    told = [f"## {found.title}\n"]
    if found.failed:
        return [*told, f"Not measured: {found.failed}\n"]
    if found.note:
        told.append(f"{found.note}\n")
    facts = [f"* {fact.text}" for fact in found.facts if fact.text]
    told += [*facts, ""] if facts else []
    for table in found.tables:
        told += _table(table)
    return told


def _table(table: Table) -> list[str]:
    head = f"| | {table.unit} | p50 | p99 | CPU | bad |" + (f" {table.compares} |" if table.compares else "")
    rows = [_row(table, name, row) for name, row in table.rows.items()]
    bad = [f"* {name}: {told}" for name, row in table.rows.items() if (told := _bad(row))]
    note = [f"{table.note}\n"] if table.note else []
    return [
        f"### {table.title}\n",
        *note,
        head,
        "|---" * (head.count("|") - 1) + "|",
        *rows,
        "",
        *bad,
        *[""] * bool(bad),
    ]


def _bad(row: Row) -> str:
    """Say what the bad answers were, by status, and what the first of them said."""
    kinds = ", ".join(one.bad_by for one in row.rounds if one.bad_by)
    first = next((one.first_bad.strip() for one in row.rounds if one.first_bad), "")
    return f"bad were {kinds}" * bool(kinds) + f"; the first: {first}" * bool(first)


def _row(table: Table, name: str, row: Row) -> str:
    last = f" {_ratio(table, name)} |" if table.compares else ""
    if row.trouble:
        return f"| {name} | {row.trouble} | | | | |" + (" |" if table.compares else "")
    rates = [one.rate for one in row.rounds]
    spread = f"{row.median() or 0:,.1f} ({min(rates):,.1f}–{max(rates):,.1f})"
    p50, p99, cpu = (row.median(what) or 0.0 for what in ("p50_ms", "p99_ms", "cpu_ms"))
    costs = f"{cpu:.3f} ms" if cpu else ""
    return f"| {name} | {spread} | {p50:.2f} ms | {p99:.2f} ms | {costs} | {row.sum('bad')} |{last}"


def _ratio(table: Table, name: str) -> str:
    ratio = table.ratio(name)
    if ratio is None:
        return ""
    return f"{ratio:.0%}" if table.row_over_base and table.compares != "speed-up" else f"{ratio:.2f} ×"
