"""Mail: sealed at rest, one source for text and HTML, in the reader's language, and nothing in it that could harm."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from aiosmtpd.controller import Controller
from flask import Flask
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from idp import config, crypto, language, mail
from idp import db as database
from idp.db import committing, db
from idp.mail import letter
from tests.serving import free_port

TEMPLATES = Path(__file__).parents[2] / "templates" / "mail"
NAMES = sorted(path.stem for path in TEMPLATES.glob("*.txt") if not path.stem.startswith("_"))
VALUES: dict[str, Any] = {
    "user": SimpleNamespace(display_name="Dr. Ada <b>Example</b>", username="ada", locale=None, zoneinfo=None),
    "seen": SimpleNamespace(address="192.0.2.7"),
    "at": datetime(2026, 3, 2, 7, 4, tzinfo=UTC),
    "link": "http://localhost/somewhere?token=abc",
}


class Anything:
    """Stands in for a value that a template wants and this test does not know: a number, a text, a list."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)

    def __str__(self) -> str:
        return "Something <i>else</i>"

    def __int__(self) -> int:
        return 3

    def __gt__(self, other: Any) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(["one", "two"])


def written(name: str, **values: Any) -> mail.Letter:
    source = (TEMPLATES / f"{name}.txt").read_text()
    times = dict.fromkeys(re.findall(r"moment\((\w+)", source), VALUES["at"])
    wanted = set(re.findall(r"(?:=|\{\{)\s*([a-z_]+)\b(?=\s*[,)|}])", source)) - VALUES.keys() - {"issuer"}
    filled = {key: Anything() for key in wanted} | {"left": 3, "minutes": 15, "days": 7, "hours": 72}
    return letter.write(name, **filled | times | VALUES | values)


# --- at rest -------------------------------------------------------------------------------------------------


def test_a_reset_link_is_nowhere_in_the_database(app: Flask, mailbox) -> None:
    link = "http://localhost/recover/password/new?token=very-secret-token"
    with committing():
        mail.send("ada@example.org", "recovery", link=link, minutes=15, **{k: VALUES[k] for k in ("user", "seen")})
    raw = db.session.execute(sa.text("SELECT * FROM mail_outbox")).one()
    everything = b" ".join(part if isinstance(part, bytes) else str(part).encode() for part in raw)
    assert b"very-secret-token" not in everything and b"Ada" not in everything
    assert link in mailbox()[0].body and link in mailbox()[0].html


def test_a_mail_opens_only_for_its_own_recipient_and_in_its_own_row(app: Flask) -> None:
    with committing():
        rows = [mail.stage(to, mail.Letter("s", "b")) for to in ("ada@example.org", "eve@example.org")]
    assert mail.opened(rows[0]).text == "b"
    rows[1].sealed_letter = rows[0].sealed_letter
    with pytest.raises(crypto.SealBroken):
        mail.opened(rows[1])
    rows[0].recipient = "eve@example.org"
    with pytest.raises(crypto.SealBroken):
        mail.opened(rows[0])
    db.session.rollback()


def test_the_migration_seals_what_waits_and_opens_it_again_on_the_way_down(app: Flask, mailbox) -> None:
    with committing():
        mail.stage("ada@example.org", mail.Letter("Waiting", "The body.\n"))
    database.downgrade("0017")
    assert db.session.execute(sa.text("SELECT body FROM mail_outbox")).scalars().all() == ["The body.\n"]
    db.session.remove()
    database.upgrade()
    assert [(one.recipient, one.subject, one.body) for one in mailbox()] == [
        ("ada@example.org", "Waiting", "The body.\n")
    ]


# --- on the wire ---------------------------------------------------------------------------------------------


class Server:
    """A mail server that keeps what it is given."""

    def __init__(self) -> None:
        self.got: list[tuple[list[str], bytes]] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        self.got.append((envelope.rcpt_tos, envelope.original_content))
        return "250 taken"


@pytest.fixture
def server() -> Iterator[Server]:
    kept, port = Server(), free_port()
    controller = Controller(kept, hostname="127.0.0.1", port=port, ready_timeout=60)
    controller.start()
    kept.port = port  # type: ignore[attr-defined]
    yield kept
    controller.stop()


@pytest.fixture
def posting(make_app, sqlite_url: str, server: Server) -> Iterator[Flask]:
    wanted = {"smtp_host": "127.0.0.1", "smtp_port": server.port, "smtp_tls": "none"}  # type: ignore[attr-defined]
    built = make_app(sqlite_url, mail=wanted)
    with built.app_context():
        yield built


def _received(server: Server) -> Any:
    import email
    from email import policy

    return email.message_from_bytes(server.got[-1][1], policy=policy.default)


def test_text_and_html_go_out_together_in_one_language(posting: Flask, server: Server) -> None:
    with committing():
        mail.send("ada@example.org", "recovery", locale="es-MX", minutes=15, **VALUES)
    assert mail.deliver_pending() == 1
    db.session.commit()
    message = _received(server)
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert message["Content-Language"] == "es" and message["Auto-Submitted"] == "auto-generated"
    assert 'lang="es"' in message.get_body(("html",)).get_content()
    assert VALUES["link"] in message.get_body(("plain",)).get_content()


def test_a_retry_is_the_same_message(posting: Flask) -> None:
    row = mail.stage("ada@example.org", mail.Letter("s", "b"))
    one, two = (mail.outbox._message(row, mail.opened(row))["Message-ID"] for _ in range(2))
    assert one == two and re.fullmatch(r"<[\w-]{24}@example\.org>", one)
    db.session.rollback()


def test_a_mail_that_does_not_open_is_given_up_and_holds_up_no_other(posting: Flask, server: Server) -> None:
    with committing():
        broken = mail.stage("ada@example.org", mail.Letter("s", "broken"))
        mail.stage("ada@example.org", mail.Letter("s", "whole"))
        broken.sealed_letter = broken.sealed_letter[:-1] + b"?"
    assert mail.deliver_pending() == 1
    db.session.commit()
    assert "whole" in _received(server).get_body(("plain",)).get_content()
    row = db.session.scalars(sa.select(mail.OutgoingMail).where(mail.OutgoingMail.sent_at.is_(None))).one()
    assert row.attempts == mail.MAX_ATTEMPTS and (row.last_error or "").startswith("cannot be sent")
    assert mail.deliver_pending() == 0


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\x00", "\x0b", "\x85", "\u2028"])
def test_attack_116_no_field_starts_another_header(posting: Flask, server: Server, end: str) -> None:
    evil = f"Hello{end}Bcc: eve@example.com"
    with committing():
        mail.stage(f"ada@example.org{end}Bcc: eve@example.com", mail.Letter(evil, "b"))
        user = SimpleNamespace(display_name=evil, username=evil, locale=None, zoneinfo=None)
        mail.send("ada@example.org", "refresh_token_reused", client_name=evil, **{**VALUES, "user": user})
    mail.deliver_pending()
    db.session.commit()
    for recipients, raw in server.got:
        assert b"\nbcc:" not in raw.partition(b"\r\n\r\n")[0].lower()
        assert len(recipients) == 1
    rows = db.session.scalars(sa.select(mail.OutgoingMail))
    assert all(end not in row.recipient and end not in row.subject for row in rows)


def test_tls_is_the_default_and_certificates_are_checked(posting: Flask) -> None:
    assert config.Settings().mail.smtp_tls == "starttls"
    assert ssl.create_default_context().verify_mode is ssl.CERT_REQUIRED


# --- what is in it -------------------------------------------------------------------------------------------


@pytest.fixture
def context(make_app, sqlite_url: str) -> Iterator[Flask]:
    built = make_app(sqlite_url)
    with built.app_context():
        yield built


@pytest.mark.parametrize("name", NAMES)
def test_no_link_but_ours_and_nothing_from_elsewhere(context: Flask, name: str) -> None:
    html = written(name).html
    assert {"http://localhost/"} >= {
        re.match(r"http://localhost/", url)[0] for url in re.findall(r'href="([^"]*)"', html)
    }  # type: ignore[index]
    assert not re.search(r"<(img|script|link|iframe|form|input|object|video|svg)\b|url\(|@import|\bsrc=", html)
    assert "<b>Example" not in html and "<i>else" not in html, "what people are called is text"


@pytest.mark.parametrize("name", NAMES)
def test_text_and_html_say_the_same_and_whom_to_ask(context: Flask, name: str) -> None:
    one = written(name)
    body = re.sub(r"<(style|head)\b.*?</\1>", " ", one.html, flags=re.DOTALL)
    words = Markup(re.sub(r"<[^>]+>", " ", body)).unescape()
    said = [word for word in re.split(r"[\s:]+", one.text.replace("-- ", "")) if word]
    assert [word for word in said if word not in words] == []
    assert "Service desk" in one.text and "help@example.org" in one.text and "Service desk" in one.html
    assert one.subject and "\n" not in one.subject and "{" not in one.text + one.subject
    assert "\n\n\n" not in one.text


@pytest.mark.parametrize(
    "line",
    [
        "http://localhost.evil.example/x",
        "http://localhost@evil.example/",
        "https://localhost/x",
        "javascript:alert(1)",
        'http://localhost/"onclick=x',
    ],
)
def test_only_our_own_address_becomes_a_link(context: Flask, line: str) -> None:
    assert not letter.is_ours(line)
    assert f'href="{line}' not in "".join(letter.paragraph(f"Click here\n{line}").lines)


def test_an_address_of_ours_becomes_a_button_that_shows_where_it_leads(context: Flask) -> None:
    part = letter.paragraph("Choose a new password:\nhttp://localhost/recover?token=1")
    assert (part.lines, part.link) == (("Choose a new password",), "http://localhost/recover?token=1")


def test_a_mail_speaks_the_language_of_its_reader_and_not_of_whoever_caused_it(context: Flask) -> None:
    with language.speaking("es"):
        english = mail.letter.write("username_reminder", locale="en-US", **VALUES)
        theirs = mail.letter.write("username_reminder", **VALUES)
    assert (english.language, theirs.language) == ("en", "es")
    assert language.current() == "en"


@pytest.mark.parametrize("path", sorted(TEMPLATES.iterdir()), ids=lambda path: path.name)
def test_w8_every_sentence_of_a_mail_passes_through_gettext(path: Path) -> None:
    source = re.sub(
        r"\{#.*?#\}|\{\{.*?\}\}|\{%.*?%\}|<style>.*?</style>|<[^>]*>", " ", path.read_text(), flags=re.DOTALL
    )
    bare = re.sub(r"^ */[a-z/-]+$", "", source.replace("Subject:", ""), flags=re.MULTILINE)  # the path of a link
    assert re.findall(r"[^\W\d_]{2,}", bare) == []
    made = Environment(loader=FileSystemLoader(TEMPLATES), extensions=["jinja2.ext.i18n"], autoescape=True)
    made.install_null_translations(newstyle=True)  # type: ignore[attr-defined]
    for _, _, message in made.extract_translations(path.read_text()):  # type: ignore[attr-defined]
        one = message[0] if isinstance(message, tuple) else message
        assert one == one.strip() and not re.sub(r"%\([a-z]+\)s", "", one).count("%")
