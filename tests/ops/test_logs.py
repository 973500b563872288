"""What reaches the log: one line an event, nothing that steers a terminal, nothing secret (attacks 132, 134)."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from idp import logs
from idp.config.schema import Log
from tests import cost

JWT = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJfYWxpY2UifQ.c2lnbmF0dXJlLWJ5dGVz"


def record(message: str, *args: Any, exc_info: Any = None, **extra: Any) -> logging.LogRecord:
    return logging.getLogger("t").makeRecord("t", logging.INFO, __file__, 1, message, args, exc_info, extra=extra)


@pytest.fixture
def request_id() -> Iterator[None]:
    """Every line belongs to request r-12345678."""
    before = logs._request_id
    logs._request_id = lambda: "r-12345678"
    yield
    logs._request_id = before


@pytest.mark.parametrize(
    "evil",
    ["a\r\nb", "\x1b[2J\x1b[31mred", "a\u2028b\u2029c", "user\u202etxt.exe", "zero\u200bwidth", "nul\x00", "tag\U000e0041",
     "c1\x9b31m", "lone\ud800surrogate"],
)  # fmt: skip
@pytest.mark.parametrize("formatter", [logs.JsonFormatter(), logs.TextFormatter()])
def test_132_nobody_writes_lines_of_ours_or_steers_a_terminal(formatter: logging.Formatter, evil: str) -> None:
    line = formatter.format(record("who: %s", evil, user_agent=evil, path=evil))
    line.encode()
    assert not any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 or c in "\u2028\u2029\u202e\u200b\U000e0041" for c in line)


def test_132_a_json_line_stays_json_and_a_million_characters_become_few() -> None:
    line = json.loads(logs.JsonFormatter().format(record("%s", "A" * 1_000_000, user_agent="\u202e" * 1_000_000)))
    assert len(line["message"]) < 2100
    assert "1000000 characters" in line["message"]
    assert len(line["user_agent"]) < 13_000


def test_a_traceback_is_one_json_line_and_cannot_forge_text_lines() -> None:
    try:
        raise ValueError("first\n12:00:00 info    forged line")
    except ValueError as error:
        broken = record("it broke", exc_info=(type(error), error, error.__traceback__))
    assert logs.JsonFormatter().format(broken).count("\n") == 0
    text = logs.TextFormatter().format(broken).split("\n")
    assert all(line.startswith("         | ") for line in text[1:])
    assert any("forged line" in line for line in text[1:])


@pytest.mark.parametrize(
    ("said", "secret"),
    [
        ("GET https://rp.example.org/cb?code=SplxlOBeZQQYbYS6WxSbIA&state=xyz", "SplxlOBeZQQYbYS6WxSbIA"),
        ("path /login?flow=abc123 was slow", "abc123"),
        ("Authorization: Bearer abcdefghijklmnop", "abcdefghijklmnop"),
        ("Authorization: Basic YWxpY2U6c2VjcmV0cw==", "YWxpY2U6c2VjcmV0cw"),
        (f"token was {JWT}", "eyJzdWIi"),
        ("{'password': 'Hunter2!Hunter2', 'username': 'alice'}", "Hunter2"),
        ('{"client_secret": "s3cr3t-value"}', "s3cr3t-value"),
        ("refresh_token=rt_0123456789 grant_type=refresh_token", "rt_0123456789"),
        ("code_verifier=dBjftJeZ4CVP, done", "dBjftJeZ4CVP"),
        ("totp_code: 123456", "123456"),
        ("redis://default:geheim1@redis.example.org:6379/0 away", "geheim1"),
        ("hash $2b$12$abcdefghijklmnopqrstuv is malformed", "abcdefghijklmnopqrstuv"),
        (
            "INSERT failed\n[parameters: ('alice', 'digest-of-a-thing')]\n(Background on this error)",
            "digest-of-a-thing",
        ),
    ],
)
def test_134_a_credential_in_a_message_is_hidden(said: str, secret: str) -> None:
    line = logs.JsonFormatter().format(record(said))
    assert secret not in line
    assert logs.HIDDEN in line


@pytest.mark.parametrize(
    "name", ["token", "access_token", "client_secret", "password", "code", "otp", "cookie", "raw_token"]
)
def test_134_a_field_with_a_credentials_name_is_hidden(name: str) -> None:
    line = json.loads(logs.JsonFormatter().format(record("x", **{name: "value-1", "nested": {name: "value-2"}})))
    assert line[name] == logs.HIDDEN
    assert line["nested"] == {name: logs.HIDDEN}


@pytest.mark.parametrize(
    "said", ["status 200 for /authorize", "response_type was code", "SELECT a FROM b WHERE c = ?", "why? because"]
)
def test_what_is_no_credential_stays_readable(said: str) -> None:
    assert json.loads(logs.JsonFormatter().format(record(said)))["message"] == said


def test_the_request_id_is_on_every_line(request_id: None) -> None:
    assert json.loads(logs.JsonFormatter().format(record("x")))["request_id"] == "r-12345678"
    assert "request_id=r-12345678" in logs.TextFormatter().format(record("x"))


def test_140_cleaning_is_linear_whatever_is_sent() -> None:
    pieces = ("a_", "token", "?", "https://", "[parameters: ", "eyJ.", "Bearer ", "code=", "://a:b", "$2b$", "\"'")
    for piece in pieces:
        text = piece * (20_000 // len(piece))
        with cost.within(2):
            logs.clean(text, longest=logs.MAX_TRACE)


def test_every_logger_ends_in_our_formatter(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        logs.configure(Log(format="json", level="info"))
        logging.getLogger("some.library").warning("password=%s", "hunter2")
        line = json.loads(capsys.readouterr().err.strip())
    finally:
        logging.captureWarnings(False)
        root.handlers[:], root.level = handlers, level
    assert (line["logger"], line["level"], line["message"]) == ("some.library", "warning", f"password={logs.HIDDEN}")


def test_attack_132_a_path_cannot_add_facts_to_its_own_line(make_app, sqlite_url, caplog):
    client = make_app(sqlite_url).test_client()
    with caplog.at_level("INFO"):
        client.get("/x%20200%20route=/admin%20request_id=FORGED")
    (line,) = [record.getMessage() for record in caplog.records if "FORGED" in record.getMessage()]
    assert len(line.split(" ")) == 3
    assert line.endswith(" 404")
