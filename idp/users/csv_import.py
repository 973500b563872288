"""users.csv_import — many people at once from a CSV file, with a report for every line.

UTF-8 (a byte order mark is fine), comma or semicolon, a header, one person a line, no line breaks inside quotes: so that a
broken line can never swallow the ones after it. Only `username` is obligatory:

    username,display_name,given_name,family_name,email,email_verified,roles,npi,password_hash,status,
    middle_name,nickname,profile,picture,website,gender,birthdate,locale,zoneinfo

`email` and `roles` may hold several, separated by spaces or `|` (the first address is the primary one); `email_verified` is
true or false; `status` is active or disabled. `password_hash` is a hash of the former system, kept by whoever is passed as
`hashes`. Who exists already is left alone, or brought up to date on demand; their password never.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import BinaryIO, Protocol

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from idp import audit
from idp.db import db
from idp.errors import BadInput, IdpError
from idp.record import Record
from idp.users import people, profile, traits
from idp.users.checks import Draft, draft
from idp.users.model import ACTIVE, DISABLED, LoginName, User

FURTHER = (*traits.TRAITS, "locale", "zoneinfo")  # passed on as claims; nothing is decided by them
COLUMNS = (
    "username", "display_name", "given_name", "family_name", "email", "email_verified", "roles", "npi", "password_hash",
    "status", *FURTHER,
)  # fmt: skip
CREATED, UPDATED, EXISTS, REFUSED = "created", "updated", "exists", "refused"
MAX_LINE_BYTES = 16 * 1024
BATCH = 200
_YES, _NO = ("true", "yes", "1"), ("false", "no", "0", "")
_FORMULA = tuple("=+-@\t\r")


class HashKeeper(Protocol):
    """Who keeps password hashes of other systems; `idp.authn.factors.password` is one."""

    def check_foreign_hash(self, text: str, /) -> None:
        """Raise BadInput for a hash that cannot be verified later."""

    def import_hashes(self, hashes: Sequence[tuple[User, str]], /, *, actor: str | None) -> None:
        """Keep checked hashes of people who have no password yet."""


class Line(Record):
    """What became of one line; `number` counts as an editor does, the header is 1."""

    number: int
    username: str
    outcome: str  # created, updated, exists, refused
    reason: str | None = None


class _Entry(Record):
    """One line that is well-formed in itself."""

    number: int
    draft: Draft
    email_verified: bool
    status: str | None
    password_hash: str
    further: Mapping[str, str]  # what the line says of FURTHER
    names: frozenset[str] = field(default=frozenset())  # what the person would sign in with


def import_csv(
    source: BinaryIO,
    *,
    hashes: HashKeeper | None = None,
    update_existing: bool = False,
    dry_run: bool = False,
    actor: str | None = None,
) -> Iterator[Line]:
    """Import people line by line, and yield what became of each line, in order.

    What was yielded is flushed: the caller may commit between two lines, so that a long import holds no lock for long. A dry run
    goes the same way and takes every step back. Raises BadInput at once for a header that cannot be used.
    """
    run = _Run(hashes, update_existing, dry_run, actor)
    lines = _physical_lines(source)
    header, delimiter = _header(next(lines, (1, b""))[1])
    entries = (_entry(number, raw, header, delimiter, hashes) for number, raw in lines if raw.strip())
    while batch := list(islice(entries, BATCH)):
        yield from run.batch(batch)


@dataclass
class _Run:
    hashes: HashKeeper | None
    update_existing: bool
    dry_run: bool
    actor: str | None
    seen: dict[str, int] = field(default_factory=dict)  # name or NPI → the line that had it first

    def batch(self, batch: Sequence[_Entry | Line]) -> list[Line]:
        """Import a batch in a savepoint; after a collision with another writer once more, each line in its own."""
        unseen = [entry if isinstance(entry, Line) else self._unless_seen(entry) for entry in batch]
        savepoint = db.session.begin_nested()
        try:
            report = self._import(unseen)
        except IntegrityError:
            savepoint.rollback()
            savepoint = db.session.begin_nested()
            report = [line for entry in unseen for line in self._alone(entry)]
        if self.dry_run:
            savepoint.rollback()
        else:
            savepoint.commit()
        return report

    def _unless_seen(self, entry: _Entry) -> _Entry | Line:
        claims = {*entry.names, *filter(None, [entry.draft.npi])}
        first = min((self.seen[claim] for claim in claims if claim in self.seen), default=None)
        if first is not None:
            return _refused(entry, f"The username, an address or the NPI is the same as in line {first}.")
        self.seen.update(dict.fromkeys(claims, entry.number))
        return entry

    def _import(self, batch: Sequence[_Entry | Line]) -> list[Line]:
        entries = [entry for entry in batch if isinstance(entry, _Entry)]
        taken = _Taken(entries)
        report: dict[int, Line] = {line.number: line for line in batch if isinstance(line, Line)}
        fresh: list[tuple[_Entry, User]] = []
        for entry in entries:
            if entry.draft.username.canonical in taken.usernames:
                report[entry.number] = self._existing(entry)
            elif reason := taken.reason(entry):
                report[entry.number] = _refused(entry, reason)
            else:
                fresh.append((entry, _new(entry)))
                report[entry.number] = Line(entry.number, entry.draft.username.display, CREATED)
        self._store(fresh)
        return [report[number] for number in sorted(report)]

    def _store(self, fresh: Sequence[tuple[_Entry, User]]) -> None:
        if not fresh:
            return
        people.add([user for _, user in fresh])
        for entry, user in fresh:
            roles = list(entry.draft.roles)
            audit.record(audit.Event.USER_IMPORTED, subject=user.sub, actor=self.actor, roles=roles, status=user.status)
        if self.hashes is not None:
            given = [(user, entry.password_hash) for entry, user in fresh if entry.password_hash]
            self.hashes.import_hashes(given, actor=self.actor)

    def _alone(self, entry: _Entry | Line) -> list[Line]:
        try:
            with db.session.begin_nested():
                return self._import([entry])
        except IntegrityError:
            number, name = (entry.number, entry.username) if isinstance(entry, Line) else (entry.number, _shown(entry))
            return [Line(number, name, REFUSED, "Somebody created this person or used this address or NPI just now.")]

    def _existing(self, entry: _Entry) -> Line:
        shown = entry.draft.username.display
        if not self.update_existing:
            return Line(entry.number, shown, EXISTS, "This person exists already and was left as they are.")
        try:
            with db.session.begin_nested():
                changed = _bring_up_to_date(entry, self.actor)
        except IdpError as error:
            return _refused(entry, error.public)
        return Line(entry.number, shown, UPDATED if changed else EXISTS)


class _Taken:
    """What of a batch belongs to people who exist already, read in two queries."""

    def __init__(self, entries: Sequence[_Entry]) -> None:
        names = {name for entry in entries for name in entry.names}
        npis = {entry.draft.npi for entry in entries if entry.draft.npi}
        usernames = {entry.draft.username.canonical for entry in entries}
        self.names = set(db.session.scalars(select(LoginName.name).where(LoginName.name.in_(names))))
        self.npis = set(db.session.scalars(select(User.npi).where(User.npi.in_(npis))))
        known = select(User.canonical_username).where(User.canonical_username.in_(usernames))
        self.usernames = set(db.session.scalars(known))

    def reason(self, entry: _Entry) -> str | None:
        if entry.names & self.names:
            return "The username or an address belongs to somebody else already."
        return "This NPI belongs to somebody already." if entry.draft.npi in self.npis else None


def _new(entry: _Entry) -> User:
    user = people.from_draft(entry.draft, email_verified=entry.email_verified)
    user.traits = {name: value for name, value in entry.further.items() if name in traits.TRAITS} or None
    user.locale, user.zoneinfo = entry.further.get("locale"), entry.further.get("zoneinfo")
    if entry.status == DISABLED:
        user.status, user.status_reason = DISABLED, "imported as disabled"
    return user


def _bring_up_to_date(entry: _Entry, actor: str | None) -> bool:
    """Change what the line says differently; what it leaves empty stays. Return whether anything was different."""
    wanted = entry.draft
    user = db.session.scalars(
        select(User).where(User.canonical_username == wanted.username.canonical).execution_options(autoflush=False)
    ).one()
    before = (user.updated_at, user.status)
    fields = {name: getattr(wanted, name) for name in ("display_name", "given_name", "family_name", "npi")}
    if wanted.display_name == wanted.username.display:
        del fields["display_name"]  # the line had none
    given = {name: value for name, value in fields.items() if value} | dict(entry.further)
    profile.update(user.sub, actor=actor, **given)
    if wanted.roles:
        profile.set_roles(user.sub, wanted.roles, actor=actor)
    known = {email.canonical for email in user.emails}
    for email in wanted.emails:
        if email.canonical not in known:
            profile.add_email(user.sub, email.display, actor=actor, verified=entry.email_verified)
    if entry.status == DISABLED:
        people.disable(user.sub, reason="disabled by import", actor=actor)
    elif entry.status == ACTIVE:
        people.enable(user.sub, actor=actor)
    return (user.updated_at, user.status) != before


# --- reading -------------------------------------------------------------------------------------------------


def _physical_lines(source: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield numbered lines; one that is too long comes as a NUL, which no line may contain, and its rest is skipped."""
    number = 0
    while raw := source.readline(MAX_LINE_BYTES + 1):
        number += 1
        too_long = len(raw) > MAX_LINE_BYTES
        while raw and not raw.endswith(b"\n") and too_long:
            raw = source.readline(MAX_LINE_BYTES)
        yield number, b"\x00" if too_long else raw


def _header(raw: bytes) -> tuple[list[str], str]:
    text = raw.decode("utf-8-sig", "replace").strip()
    delimiter = ";" if ";" in text and "," not in text else ","
    names = [name.strip().lower() for name in next(csv.reader([text], delimiter=delimiter), [])]
    strangers = [name for name in names if name not in COLUMNS]
    if strangers or "username" not in names or len(set(names)) != len(names):
        wrong = (
            f"unknown: {', '.join(map(repr, strangers[:5]))}" if strangers else "username is missing, or one is double"
        )
        raise BadInput({"header": [f"The first line must name columns out of: {', '.join(COLUMNS)} ({wrong})."]})
    return names, delimiter


def _entry(number: int, raw: bytes, header: list[str], delimiter: str, hashes: HashKeeper | None) -> _Entry | Line:
    try:
        row = _row(raw, header, delimiter)
        return _parsed(number, row, hashes)
    except BadInput as error:
        return Line(number, _username_of(raw, header, delimiter), REFUSED, error.public)


def _row(raw: bytes, header: list[str], delimiter: str) -> dict[str, str]:
    if b"\x00" in raw:
        raise BadInput({"line": [f"The line is longer than {MAX_LINE_BYTES} bytes or contains a NUL."]})
    try:
        values = next(csv.reader([raw.decode("utf-8").rstrip("\r\n")], delimiter=delimiter, strict=True), [])
    except UnicodeDecodeError:
        raise BadInput({"line": ["The line is not UTF-8."]}) from None
    except csv.Error as error:
        raise BadInput({"line": [f"The line is not CSV: {error}."]}) from None
    if len(values) > len(header):
        raise BadInput({"line": [f"The line has {len(values)} columns, the header {len(header)}."]})
    return {name: value.strip() for name, value in zip(header, values, strict=False)}


def _parsed(number: int, row: dict[str, str], hashes: HashKeeper | None) -> _Entry:
    for name in ("display_name", "given_name", "family_name", *FURTHER):
        if row.get(name, "").startswith(_FORMULA):
            raise BadInput({name: [f"The {name.replace('_', ' ')} looks like a spreadsheet formula."]})
    given, family = row.get("given_name", ""), row.get("family_name", "")
    checked = draft(
        username=row.get("username", ""),
        display_name=row.get("display_name") or f"{given} {family}".strip() or row.get("username", ""),
        given_name=given,
        family_name=family,
        emails=_several(row.get("email", "")),
        roles=_several(row.get("roles", "")),
        npi=row.get("npi"),
    )
    verified = _flag(row.get("email_verified", ""))
    names = {checked.username.canonical, *(email.canonical for email in checked.emails if verified)}
    further = {name: profile.checked(name, row[name]) for name in FURTHER if row.get(name)}
    return _Entry(number, checked, verified, _status(row), _hash(row, hashes), further, frozenset(names))


def _several(text: str) -> list[str]:
    return [part for part in re.split(r"[\s|;]+", text) if part]


def _flag(text: str) -> bool:
    if text.lower() not in (*_YES, *_NO):
        raise BadInput({"email_verified": ["email_verified is true or false."]})
    return text.lower() in _YES


def _status(row: dict[str, str]) -> str | None:
    status = row.get("status", "").lower()
    if status not in ("", ACTIVE, DISABLED):
        raise BadInput({"status": ["status is active or disabled."]})
    return status or None


def _hash(row: dict[str, str], hashes: HashKeeper | None) -> str:
    text = row.get("password_hash", "")
    if text and hashes is None:
        raise BadInput({"password_hash": ["Password hashes are not taken over in this import."]})
    if text and hashes is not None:
        hashes.check_foreign_hash(text)
    return text


def _username_of(raw: bytes, header: list[str], delimiter: str) -> str:
    """Return what may be shown of the username of a line that was refused."""
    values = raw.decode("utf-8", "replace").split(delimiter)
    place = header.index("username")
    shown = values[place] if place < len(values) else ""
    return "".join(c for c in shown.strip().strip('"') if c.isprintable())[:80]


def _shown(entry: _Entry) -> str:
    return entry.draft.username.display


def _refused(entry: _Entry, reason: str) -> Line:
    return Line(entry.number, _shown(entry), REFUSED, reason)
