"""`idp policy`, `idp report`, `idp passwords` — what people owe, who falls short of it, and the corpus of breached passwords."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import BinaryIO

import click

from idp.authn import corpus, deviations, password_policy, policy, report
from idp.authn.policy import Policy
from idp.cli.base import State, takes_state
from idp.cli.failures import Failure, Group
from idp.cli.output import facts, table

_GENERAL = "everybody else"


@click.group("policy", cls=Group)
def group() -> None:
    """Show what people owe by their roles, and where it departs from NIST SP 800-63B-4."""


@group.command("show")
@takes_state
def show(state: State) -> None:
    """Show every policy: the general one, then one for each group of roles."""
    told = [_told(roles, found) for roles, found in policy.tables(state.settings())]

    def human() -> None:
        for entry in told:
            click.echo(click.style(str(entry["for"]), bold=True))
            facts({name: value for name, value in entry.items() if name not in ("for", "rules", "deviations")})
            for rule in entry["rules"]:  # type: ignore[attr-defined]
                click.echo(f"  · {rule}")
            _show_deviations(entry["deviations"])  # type: ignore[arg-type]
            click.echo()

    state.show(told, human)


@group.command("check")
@takes_state
def check(state: State) -> None:
    """Say in words where the policies depart from NIST SP 800-63B-4. Exit 1 if one does."""
    told = [_told(roles, found) for roles, found in policy.tables(state.settings())]
    departing = [entry for entry in told if entry["deviations"]]
    answer = {"nist_compliant": not departing, "policies": told}

    def human() -> None:
        for entry in departing:
            click.echo(click.style(f"{entry['for']} ({entry['preset']})", bold=True))
            _show_deviations(entry["deviations"])  # type: ignore[arg-type]
        click.echo("No policy departs from NIST SP 800-63B-4." if not departing else "")

    state.show(answer, human)
    if departing:
        click.get_current_context().exit(1)


@click.group("report", cls=Group)
def reports() -> None:
    """Who falls short of what they owe."""


@reports.command("passwords")
@takes_state
def passwords_report(state: State) -> None:
    """List people whose password or second factor falls short of their policy, and why."""
    with state.reading():
        found = list(report.people())
    counted = Counter(name for entry in found for name in entry.findings)

    def human() -> None:
        rows = [
            {
                "username": entry.username,
                "findings": entry.findings,
                "rules": entry.failing,
                "change_by": entry.change_by,
            }
            for entry in found
        ]
        table(rows, ["username", "findings", "rules", "change_by"], empty="Nobody falls short.")
        for name, count in counted.most_common():
            click.echo(f"{count:6d}  {name}: {report.FINDINGS[name]}")

    state.show({"people": found, "counts": dict(counted)}, human)


@click.group("passwords", cls=Group)
def passwords() -> None:
    """The corpus of breached passwords."""


@passwords.group("corpus", cls=Group)
def corpora() -> None:
    """Make the file that `passwords.breach_corpus` names."""


@corpora.command("build")
@click.argument("source", type=click.File("rb"))
@click.argument("out", type=click.Path(dir_okay=False, writable=True, path_type=Path))
@takes_state
def build(state: State, source: BinaryIO, out: Path) -> None:
    """Make a corpus file OUT of the lines of SOURCE: SHA-1 in hexadecimal, or passwords in the clear; `-` reads standard input."""
    try:
        built = corpus.build(source, out)
    except corpus.NotACorpus as error:
        raise Failure(f"{source.name}: {error}") from None
    remedy = f'breach_corpus = "{out}"'
    state.show(
        {"count": built.count, "lines": built.lines, "file": str(out)},
        lambda: click.echo(f"{built.count} passwords ({built.lines} lines) in {out}. Settings: [passwords] {remedy}"),
    )


def _told(roles: tuple[str, ...], found: Policy) -> dict[str, object]:
    return {
        "for": ", ".join(roles) or _GENERAL,
        "preset": found.preset,
        "second_factor": "required" if found.require_second else "optional",
        "factors": list(found.factors),
        "least_acr": found.least_acr,
        "idle_s": found.idle_s,
        "absolute_s": found.absolute_s,
        "rules": password_policy.describe(found.password),
        "deviations": [vars(deviation) for deviation in deviations.of_policy(found)],
    }


def _show_deviations(found: list[dict[str, str]]) -> None:
    for deviation in found:
        click.echo(
            click.style("  departs ", fg="yellow")
            + f"{deviation['name']} ({deviation['section']}): {deviation['told']}"
        )
