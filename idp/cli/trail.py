"""`idp audit` — the provable trail: read it, verify it, take it out."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import click

from idp import audit, clock, users
from idp.cli.base import State, actor, takes_state
from idp.cli.failures import Failure, Group
from idp.cli.output import cell, facts, plain
from idp.db import db
from idp.spelling import spell_out

_MAX_LINES = 500
WIDTH = 120  # columns of a line at least; a wider terminal has wider ones


@click.group("audit", cls=Group)
def group() -> None:
    """Read, verify and export the audit trail."""


class Moment(click.ParamType[datetime]):
    """A time: ISO 8601 (UTC where it names no zone), or how long ago: 30m, 2h, 7d."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read it."""
        if isinstance(value, datetime):
            return value
        if ago := re.fullmatch(r"(\d{1,6})([smhd])", value):
            unit = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}[ago[2]]
            return clock.now() - timedelta(**{unit: int(ago[1])})
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is neither a time such as 2026-11-23T08:00 nor a while such as 2h.", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


_FILTERS = (
    click.option("--until", type=Moment(), help="Events before this time."),
    click.option("--since", type=Moment(), help="Events from this time on: 2026-11-23T08:00, or 2h for two hours ago."),
    click.option("--request", "request_id", help="Events of one request id."),
    click.option("--address", help="Events from this network address."),
    click.option("--sid", help="Events of one session."),
    click.option("--client", "client_id", help="Events of this client."),
    click.option("--actor", "by", help="Events that this actor caused."),
    click.option("--user", help="Events about this person (username, address or subject)."),
    click.option("--outcome", type=click.Choice(["success", "failure"]), help="Only these."),
    click.option("--event", help="One event (login.failed) or a family (login.*)."),
)


def _filtered(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in _FILTERS:
        command = option(command)
    return command


def _query(user: str | None, by: str | None, **filters: Any) -> audit.Query:
    return audit.Query(subject=_subject(user) if user else None, actor=by, **filters)


def _subject(user: str) -> str:
    found = users.find_by_sub(user) or users.find_by_login(user)
    return found.sub if found else user  # events may speak of a person whom the database has forgotten


@group.command("tail")
@click.option("--follow", "-f", is_flag=True, help="Go on with new events until Ctrl-C.")
@click.option("--last", "-n", type=click.IntRange(1, _MAX_LINES), default=20, show_default=True, help="How many.")
@_filtered
@takes_state
def tail(state: State, follow: bool, last: int, **filters: Any) -> None:
    """Show the last events, oldest first, each in one line as wide as the terminal; --json has all of them.

    With -f and --json: one JSON object a line.
    """
    with state.reading():
        query = _query(**filters)
        db.session.rollback()
        _write_down_reading(query)
        if follow:
            with contextlib.suppress(KeyboardInterrupt):
                _print_each(audit.follow(query, last=last), state)
            return
        audit.seal()
        entries = audit.tail(query, limit=last)
        answer = [_as_dict(entry) for entry in entries]
        state.show(answer, lambda: _print_each(entries, state))


def _write_down_reading(query: audit.Query) -> None:
    audit.record(audit.Event.AUDIT_SEARCHED, actor=actor(), filters=query.given())
    db.session.commit()


def _print_each(entries: Iterable[audit.Entry], state: State) -> None:
    name_of = lru_cache(maxsize=1000)(_name)
    for entry in entries:
        if state.as_json:
            click.echo(json.dumps(_as_dict(entry), ensure_ascii=False))
        else:
            click.echo(_line(entry, name_of))
        sys.stdout.flush()


def _as_dict(entry: audit.Entry) -> dict[str, Any]:
    shown: dict[str, Any] = plain(entry)
    return shown | {"sentence": entry.sentence}


def _name(sub: str) -> str:
    found = users.find_by_sub(sub)
    name = found.username if found else sub
    db.session.rollback()
    return name


def _line(entry: audit.Entry, name_of: Callable[[str], str]) -> str:
    colour = "red" if entry.outcome == "failure" else "green"
    about = [
        f"user={name_of(entry.subject)}" if entry.subject else "",
        f"reason={entry.reason}" if entry.reason else "",
        f"by={name_of(entry.actor)}" if entry.actor and entry.actor != entry.subject else "",
        f"client={entry.client_id}" if entry.client_id else "",
        f"from={entry.address}" if entry.address else "",
        f"acr={entry.acr}" if entry.acr else "",
        *(f"{name}={cell(value)}" for name, value in entry.details.items() if value not in (None, "", [], {})),
    ]
    number = str(entry.seq) if entry.seq is not None else "-"
    head = f"{number:>6}  {entry.time:%Y-%m-%d %H:%M:%S}Z  "
    room = max(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns) - len(head) - len(entry.event.ljust(24)) - 2
    told = spell_out(" ".join(part for part in about if part))
    told = told if len(told) <= room else told[: room - 1] + "…"
    return f"{head}{click.style(entry.event.ljust(24), fg=colour)}  {told}"


@group.command("verify")
@click.argument("export_file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--checkpoints", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="A copy of the checkpoint file that was kept elsewhere.")  # fmt: skip
@click.option("--public-keys", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Keys from `idp audit public-keys`, to verify an export away from the database.")  # fmt: skip
@takes_state
def verify(state: State, export_file: Path | None, checkpoints: Path | None, public_keys: Path | None) -> None:
    """Verify the whole chain, or EXPORT_FILE (JSON Lines). Exit 1 and the first bad event when something does not fit."""
    if export_file is None:
        with state.work():
            audit.seal()
            report = audit.verify(checkpoint_file=checkpoints, actor=actor())
    else:
        report = _verify_file(state, export_file, checkpoints, public_keys)
    state.show(report, lambda: _tell(report))
    if not report.ok:
        click.get_current_context().exit(1)


def _verify_file(state: State, file: Path, checkpoints: Path | None, public_keys: Path | None) -> audit.Report:
    if public_keys is not None:
        keys = _read_keys(public_keys)
    else:
        with state.reading():
            keys = audit.public_keys()
    lines: Iterator[bytes] = iter(checkpoints.read_bytes().splitlines(keepends=True)) if checkpoints else iter(())
    with file.open("rb") as opened:
        return audit.verify_export(opened, public_keys=keys, checkpoint_lines=lines)


def _read_keys(file: Path) -> dict[str, str]:
    try:
        keys = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(keys, dict) or not all(isinstance(value, str) for value in keys.values()):
            raise ValueError
    except ValueError:
        raise Failure(f"{file} does not hold keys; `idp audit public-keys > {file}` writes them.") from None
    return keys


def _tell(report: audit.Report) -> None:
    if report.ok:
        click.secho(f"The trail is whole: {report.events} events, {report.checkpoints} checkpoints.", fg="green")
    else:
        click.secho(f"The trail is broken at event {report.first_bad_seq}: {report.problem}.", fg="red")
        facts({"events before it": report.events, "checkpoints": report.checkpoints})
    for warning in report.warnings:
        click.echo(f"Note: {warning}.")


@group.command("public-keys")
@takes_state
def public_keys(state: State) -> None:
    """Print the public keys of the checkpoints (JSON). Keep a copy where the database's owner cannot reach it."""
    with state.reading():
        keys = audit.public_keys()
    click.echo(json.dumps(keys, indent=2))


@group.command("export")
@click.option("--format", "kind", type=click.Choice(["jsonl", "csv", "ocsf"]), default="jsonl", show_default=True,
              help="jsonl can be verified offline; csv for spreadsheets; ocsf for a SIEM.")  # fmt: skip
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path),
              help="File to write; the signed manifest goes beside it. Standard output by default.")  # fmt: skip
@_filtered
@takes_state
def export(state: State, kind: str, output: Path | None, **filters: Any) -> None:
    """Take events out, with a signed manifest. The export itself is written to the trail."""
    with state.reading():
        query = _query(**filters)
        db.session.rollback()
        audit.seal()
        made = audit.export(kind, query, actor=actor())
        db.session.commit()
        if output is None:
            for piece in made:
                sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
            return
        manifest_file = made.save(output)
    manifest = made.manifest or {}
    state.show(
        {"file": str(output), "manifest_file": str(manifest_file), "manifest": manifest},
        lambda: click.echo(f"{manifest.get('count', 0)} events in {output}, manifest in {manifest_file}"),
    )


@group.command("seal")
@takes_state
def seal(state: State) -> None:
    """Number and link the events that wait (the server does this by itself every few seconds)."""
    with state.work():
        count = audit.seal()
    state.show({"sealed": count}, lambda: click.echo(f"{count} events sealed."))
