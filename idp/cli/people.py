"""`idp user` — people."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import click

from idp import sessions, users
from idp.authn import recovery
from idp.authn.factors import password
from idp.cli import asking, authenticators, inviting
from idp.cli.base import State, actor, confirm, takes_state, yes_option
from idp.cli.failures import Failure, Group
from idp.cli.finding import find
from idp.cli.output import facts, plain, table
from idp.db import db
from idp.spelling import spell_out

_COLUMNS = ("username", "display_name", "email", "roles", "npi", "status")
_HAND_OVER = "Hand the password over in person; it is good for 72 hours and must be changed at the first sign-in."
_COLOURS = {"created": "green", "updated": "cyan", "exists": None, "refused": "red"}


_TEXTS = ("given_name", "family_name", *users.traits.TRAITS)


def _options(names: Iterable[str]) -> Callable[[Any], Any]:
    """Give a command an option for each of these claims."""

    def decorated(command: Any) -> Any:
        for name in reversed(tuple(names)):
            command = click.option(f"--{name.replace('_', '-')}", name, help=f"For the {name} claim.")(command)
        return command

    return decorated


@click.group("user", cls=Group)
def group() -> None:
    """Create, import and manage people."""


@group.command("create")
@click.argument("username")
@click.option("--name", "display_name", required=True, help='How they are greeted: "Dr. Ada Example".')
@click.option("--given-name", default="", help="For the given_name claim.")
@click.option("--family-name", default="", help="For the family_name claim.")
@click.option(
    "--email",
    "emails",
    multiple=True,
    help="The first is the primary one; repeat for more. Default: the username, if it is an address.",
)
@click.option("--email-verified", is_flag=True, help="You have made sure that the addresses are theirs.")
@click.option("--role", "roles", multiple=True, help="physician, nurse, administrator …; repeat for more.")
@click.option("--npi", help="National Provider Identifier: ten digits.")
@click.option(
    "--invite", is_flag=True, help="Mail them a link to choose a password themselves, instead of making one up."
)
@click.option("--client", "client_id", help="With --invite: the application that they go on to.")
@takes_state
def create(
    state: State,
    username: str,
    invite: bool,
    client_id: str | None,
    **given: Any,
) -> None:
    """Add a person. Mails an invitation; or prints a password made up here, good for 72 hours and for choosing another, nothing else."""
    if not given["emails"] and "@" in username:
        given |= {"emails": (username,), "email_verified": not invite}  # or they could never get back in by mail
    with state.work():
        user = users.create(username=username, actor=actor(), **given)
        if invite:
            sent = inviting.send(user, client_id)
        else:
            raw_issued = password.issue_temporary(user, actor=actor())
        answer = _as_dict(user)
    answer |= {"invitation": sent} if invite else {"one_time_password": raw_issued}
    state.show(answer, lambda: _hand_over(answer))


def _hand_over(answer: Mapping[str, Any]) -> None:
    facts(answer)
    if "one_time_password" in answer:
        click.secho(_HAND_OVER, fg="yellow", err=True)


@group.command("password")
@click.argument("username")
@yes_option
@takes_state
def new_password(state: State, username: str, yes: bool) -> None:
    """Let a person choose a new password and end their sessions. Their second factor stays as it is.

    Who has a verified address is sent a link, and nobody else learns the password. For who has none a one-time password is printed, to be
    handed over in person: it is good for 72 hours, and for choosing another.
    """
    confirm(f"Let {username} choose a new password? All their sessions end at once.", yes=yes)
    with state.work():
        user = find(username)
        answer = {"sub": user.sub, "username": user.username}
        if recovery.send_link(user, actor=actor()):
            answer["sent"] = "a link to choose a new password"
        else:
            answer["one_time_password"] = password.issue_temporary(user, actor=actor())
        sessions.end_all(user.sub, cause="password_replaced")
    state.show(answer, lambda: _hand_over(answer))


@group.command("list")
@click.argument("text", default="")
@click.option("--role", help="Only people with this role.")
@click.option("--status", type=click.Choice([users.ACTIVE, users.DISABLED]), help="Only these.")
@click.option("--limit", type=click.IntRange(1, 500), default=100, show_default=True, help="How many.")
@click.option("--offset", type=click.IntRange(0), default=0, help="Leave out so many.")
@takes_state
def list_(state: State, text: str, limit: int, offset: int, **filters: str | None) -> None:
    """List people; TEXT is a part of a username, name or address, or a whole NPI."""
    with state.reading():
        page = users.search(text, limit=limit, offset=offset, **filters)
        rows = [_as_dict(user) for user in page.items]

    def human() -> None:
        table(rows, _COLUMNS, empty="Nobody is here. `idp user create --help` says how to add somebody.")
        if page.total > len(rows):
            click.echo(f"{len(rows)} of {page.total}; more with --offset {offset + limit}.")

    state.show({"users": rows, "total": page.total}, human)


@group.command("show")
@click.argument("username")
@takes_state
def show(state: State, username: str) -> None:
    """Show one person, by username, address or subject."""
    with state.reading():
        answer = _as_dict(find(username))
    state.show(answer, lambda: facts(answer))


@group.command("update")
@click.argument("username")
@click.option("--name", "display_name", help='How they are greeted: "Dr. Ada Example".')
@click.option("--npi", help='National Provider Identifier: ten digits. "" takes it away.')
@click.option("--locale", help="Language of pages and mails: en, es-MX.")
@click.option("--zone", "zoneinfo", help="Time zone of dates on pages and in mails: America/Chicago.")
@_options(_TEXTS)
@takes_state
def update(state: State, username: str, **given: str | None) -> None:
    """Change what is known of a person; what is left out stays. An empty text takes something away."""
    changes = {name: value for name, value in given.items() if value is not None}
    if not changes:
        raise Failure("Nothing to change. `idp user update --help` names what can be changed.")
    with state.work():
        answer = _as_dict(users.update(find(username).sub, actor=actor(), **changes))
    state.show(answer, lambda: facts(answer))


@group.command("disable")
@click.argument("username")
@click.option("--reason", required=True, help="For the record: why.")
@yes_option
@takes_state
def disable(state: State, username: str, reason: str, yes: bool) -> None:
    """Stop a person from signing in; all their sessions end at once."""
    confirm(f"Disable {username}? All their sessions end at once.", yes=yes)
    with state.work():
        user = users.disable(find(username).sub, reason=reason, actor=actor())
        answer = _as_dict(user)
    state.show(answer, lambda: click.echo(f"{answer['username']} is disabled; all sessions have ended."))


@group.command("enable")
@click.argument("username")
@takes_state
def enable(state: State, username: str) -> None:
    """Let a person sign in again, with the credentials that they had."""
    with state.work():
        user = users.enable(find(username).sub, actor=actor())
        answer = _as_dict(user)
    state.show(answer, lambda: click.echo(f"{answer['username']} may sign in again."))


@group.command("contact")
@click.argument("username")
@click.option("--phone", help="International: +1 555 0100. Left out: none.")
@click.option("--phone-verified", is_flag=True, help="You have made sure that the number is theirs.")
@click.option("--street", "street_address", help="For the address claim.")
@click.option("--locality", help="City.")
@click.option("--region", help="State or province.")
@click.option("--postal-code", help="ZIP or postal code.")
@click.option("--country", help="Country.")
@takes_state
def contact(state: State, username: str, phone: str | None, phone_verified: bool, **address: str | None) -> None:
    """Replace where a person can be reached: the claims of the scopes phone and address."""
    parts = {name: text for name, text in address.items() if text}
    with state.work():
        user = users.set_contact(
            find(username).sub, phone=phone, phone_verified=phone_verified, address=parts, actor=actor()
        )
        answer = _as_dict(user)
    state.show(answer, lambda: facts(answer))


@group.command("import", epilog=f"Columns: {', '.join(users.COLUMNS)}. Only username is obligatory.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--update", "update_existing", is_flag=True, help="Bring people who exist up to date; never their password."
)
@click.option("--dry-run", is_flag=True, help="Check every line and change nothing.")
@click.option("--invite", is_flag=True, help="Mail an invitation to everybody who is new and brought no password hash.")
@click.option(
    "--report",
    type=click.File("w", encoding="utf-8", lazy=True),
    help="Write what became of each line to this CSV file.",
)
@takes_state
def import_(state: State, file: Path, update_existing: bool, dry_run: bool, invite: bool, report: Any) -> None:
    """Import people from a CSV FILE. Hashes of a former system are kept and renewed at the first sign-in.

    Understood: bcrypt, argon2, PBKDF2 (Django, Keycloak), scrypt and {SSHA}. Exit 1 when a line was refused.
    """
    with state.reading(), file.open("rb") as source:
        arrived = users.import_csv(
            source, hashes=password, update_existing=update_existing, dry_run=dry_run, actor=actor()
        )
        lines = list(_watched(arrived, source, os.fstat(source.fileno()).st_size, commit=not dry_run))
        new = [line.username for line in lines if line.outcome == "created"]
        told = inviting.send_to_all(new) if invite and not dry_run else None
    counted = Counter(line.outcome for line in lines)
    if report:
        _write(report, lines)
    answer = {"dry_run": dry_run, "counts": dict(counted), "lines": plain(lines)} | ({"invited": told} if told else {})
    state.show(answer, lambda: _sum_up(lines, counted, dry_run=dry_run))
    if told and not state.as_json:
        inviting.sum_up(told)
    if counted["refused"]:
        click.get_current_context().exit(1)


def _watched(arrived: Iterator[users.Line], source: BinaryIO, size: int, *, commit: bool) -> Iterator[users.Line]:
    """Pass the lines on, move the progress bar by what was read, and commit between batches."""
    hidden = not sys.stderr.isatty()
    with click.progressbar(length=max(size, 1), label="Importing", file=sys.stderr, hidden=hidden) as bar:
        at = 0
        for line in arrived:
            if (now := source.tell()) != at:
                bar.update(now - at)
                at = now
            yield line
        bar.update(max(size, 1) - at)
    if commit:
        db.session.commit()


def _sum_up(lines: list[users.Line], counted: Counter[str], *, dry_run: bool) -> None:
    for line in lines:
        if line.outcome == "refused":
            click.echo(
                f"line {line.number}: {click.style('refused', fg='red')} {spell_out(line.username)}: {spell_out(line.reason or '')}"
            )
    told = ", ".join(f"{counted[name]} {name}" for name in _COLOURS if counted[name]) or "no lines"
    click.echo(f"{'Dry run, nothing was changed: ' if dry_run else ''}{told}.")


def _write(report: Any, lines: list[users.Line]) -> None:
    import csv

    writer = csv.writer(report)
    writer.writerow(("line", "username", "outcome", "reason"))
    writer.writerows((line.number, _cell(line.username), line.outcome, _cell(line.reason or "")) for line in lines)


def _cell(text: str) -> str:
    """Keep a spreadsheet from running what somebody wrote (attack 136)."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _as_dict(user: users.User) -> dict[str, Any]:
    shown: Mapping[str, Any] = {
        "sub": user.sub,
        "username": user.username,
        "display_name": user.display_name,
        "given_name": user.given_name,
        "family_name": user.family_name,
        "email": user.email or next((address.address for address in user.emails), None),
        "emails": [
            {"address": a.address, "verified": bool(a.verified_at), "primary": a.is_primary} for a in user.emails
        ],
        "roles": user.roles,
        "npi": user.npi,
        "locale": user.locale,
        "zoneinfo": user.zoneinfo,
        "traits": user.traits,
        "contact": user.contact,
        "status": user.status,
        "status_reason": user.status_reason,
        "created_at": user.created_at,
        "updated_at": user.updated_at,
    }
    return dict(plain(shown))


for command in (*inviting.COMMANDS, *asking.COMMANDS, *authenticators.COMMANDS):
    group.add_command(command)
