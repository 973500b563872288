"""`idp doctor` — what is wrong here, and how to mend it."""

from __future__ import annotations

from collections import Counter

import click

from idp import doctor as examination
from idp.cli.base import State as Said
from idp.cli.base import takes_state
from idp.cli.output import plain
from idp.doctor import Finding, State
from idp.spelling import spell_out

_MARKS = {"ok": ("ok  ", "green"), "warn": ("warn", "yellow"), "fail": ("FAIL", "red")}


@click.command("doctor")
@takes_state
def doctor(state: Said) -> None:
    """Find what is wrong here, and how to mend it.

    Looks at settings, secrets, database, Redis, clocks, keys, TLS, mail, background jobs and the audit trail; changes nothing.
    Exit 1 when something fails.
    """
    app = state.app()
    findings = []
    with app.app_context():
        for finding in examination.examine(app.extensions["idp.settings"], config_file=state.config_path()):
            findings.append(finding)
            if not state.as_json:
                _print(finding)
    counted = Counter(finding.state for finding in findings)
    ok = not counted["fail"]
    state.show({"ok": ok, "findings": plain(findings)}, lambda: _conclude(counted))
    if not ok:
        click.get_current_context().exit(1)


def _print(finding: Finding) -> None:
    mark, colour = _MARKS[finding.state]
    click.echo(f"{click.style(mark, fg=colour)}  {finding.check.ljust(10)}  {spell_out(finding.message)}")
    if finding.remedy:
        click.echo(f"{' ' * 18}{click.style('→ ' + spell_out(finding.remedy), fg=colour)}")


def _conclude(counted: Counter[State]) -> None:
    if counted["fail"]:
        click.secho(
            f"{counted['fail']} to mend before people can rely on this, {counted['warn']} to look at.", fg="red"
        )
    elif counted["warn"]:
        click.secho(f"Works; {counted['warn']} to look at.", fg="yellow")
    else:
        click.secho("All is well.", fg="green")
