"""`python -m benchmarks.enumeration`: does the time of an answer tell who has an account? (attack 86)

Asks the real application in this process, on a fresh SQLite database and a Valkey of its own, for people who exist and for names that
nobody has, in turns and in random order. Prints the median of each and how far they are apart; as the noise of this machine, how far the
two halves of the unknown names are apart; and the same for the processor's time alone, which other people's work disturbs less. Each
person is asked about once, so that no limit and no warm row decides.
"""

from __future__ import annotations

import argparse
import base64
import random
import re
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from flask import Flask
from flask.testing import FlaskClient

import idp
from idp import config, embedded, users
from idp.authn.factors import password, totp
from idp.db import committing, db, upgrade

PASSWORD = "Quartz-Ferry-58-Lantern"
_CSRF = re.compile(r'name="csrf" value="([^"]+)"')


@dataclass(frozen=True)
class Question:
    """One way of asking: where, what is sent for a name, and which answers are the expected ones."""

    name: str
    ask: Callable[[FlaskClient, str], Callable[[], int]]
    expected: int


def sign_in(client: FlaskClient, name: str) -> Callable[[], int]:
    """A wrong password on the sign-in page."""
    page = client.get("/login", follow_redirects=True)
    form = {
        "csrf": _csrf(page.text),
        "identifier": name,
        "password": secrets.token_urlsafe(12),
    }  # one for all is spraying
    return lambda: client.post(f"/login/password?{page.request.query_string.decode()}", data=form).status_code


def forgot_password(client: FlaskClient, name: str) -> Callable[[], int]:
    """A link for a new password."""
    form = {"csrf": _csrf(client.get("/recover/password").text), "identifier": name}
    return lambda: client.post("/recover/password", data=form).status_code


def forgot_username(client: FlaskClient, name: str) -> Callable[[], int]:
    """A reminder of the user name."""
    form = {"csrf": _csrf(client.get("/recover/username").text), "email": f"{name}@example.org"}
    return lambda: client.post("/recover/username", data=form).status_code


def passkey_challenge(client: FlaskClient, name: str) -> Callable[[], int]:
    """A challenge for a passkey, after a name was typed: it does not depend on it."""
    page = client.get("/login", follow_redirects=True)
    flow = page.request.query_string.decode()
    form = {"csrf": _csrf(page.text), "identifier": name}
    return lambda: client.post(f"/login/passkey/options?{flow}", data=form).status_code


QUESTIONS = (
    Question("/login/password", sign_in, 401),
    Question("/recover/password", forgot_password, 303),
    Question("/recover/username", forgot_username, 303),
    Question("/login/passkey/options", passkey_challenge, 200),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=240, help="how many of each kind (200 at least)")
    parser.add_argument(
        "--cost", type=int, default=10, help="bcrypt cost; the cheaper, the more a difference stands out"
    )
    options = parser.parse_args(argv)
    n = max(200, options.n)
    with tempfile.TemporaryDirectory() as folder, embedded.start(Path(folder) / "kv", persist=False) as server:
        app = idp.create_app(_settings(Path(folder), server.url, options.cost))
        with app.app_context():
            upgrade()
            known = [f"person-{number}" for number in range(n)]
            _populate(known)
        print(f"n = {n} each, bcrypt cost {options.cost}; medians")
        print(f"{'':26}{'exists':>10}{'unknown':>10}{'apart':>8}{'noise':>8}{'CPU apart':>12}{'CPU noise':>11}")
        for question in QUESTIONS:
            _report(question, _measure(app, question, known))
    return 0


Times = dict[str, list[tuple[float, float]]]  # seconds by the clock, and of the processor


def _measure(app: Flask, question: Question, known: Sequence[str]) -> Times:
    asked = [("exists", name) for name in known] + [("unknown", f"nobody-{secrets.token_hex(4)}") for _ in known]
    random.shuffle(asked)
    times: Times = {"exists": [], "unknown": []}
    for number in range(10):
        _one(app, question, f"warm-up-{number}")
    for kind, name in asked:
        times[kind].append(_one(app, question, name))
    return times


def _one(app: Flask, question: Question, name: str) -> tuple[float, float]:
    """Seconds that one answer takes, the commit included: by the clock, and of the processor."""
    client = app.test_client()
    client.environ_base["REMOTE_ADDR"] = ".".join(str(random.randint(1, 250)) for _ in range(4))  # else spraying, again
    send = question.ask(client, name)
    began, worked = time.perf_counter(), time.process_time()
    status = send()
    took = time.perf_counter() - began, time.process_time() - worked
    if status != question.expected:
        sys.exit(f"{question.name} answered {status}, not {question.expected}")
    return took


def _report(question: Question, times: Times) -> None:
    clock_ms = {kind: statistics.median(wall for wall, _ in taken) * 1000 for kind, taken in times.items()}
    told = [_apart([taken[which] for taken in times[kind]] for kind in ("exists", "unknown")) for which in (0, 1)]
    half = len(times["unknown"]) // 2
    halves = (times["unknown"][:half], times["unknown"][half:])
    noise = [_apart([taken[which] for taken in part] for part in halves) for which in (0, 1)]
    print(
        f"{question.name:26}{clock_ms['exists']:>7.2f} ms{clock_ms['unknown']:>7.2f} ms{told[0]:>6.1f} %{noise[0]:>6.1f} %"
        f"{told[1]:>10.1f} %{noise[1]:>9.1f} %"
    )


def _apart(columns: Iterable[Sequence[float]]) -> float:
    """Per cent between the medians of two columns."""
    one, other = (statistics.median(column) for column in columns)
    return abs(one / other - 1) * 100


def _settings(folder: Path, redis_url: str, cost: int) -> config.Settings:
    plain = config.Settings()
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    plenty = {"address_per_minute": 10**6, "network_per_minute": 10**6, "global_per_minute": 10**6}
    return replace(
        plain,
        mode="development",
        server=replace(plain.server, issuer="http://localhost"),
        database=replace(plain.database, url=f"sqlite:///{folder / 'idp.db'}"),
        redis=replace(plain.redis, url=redis_url),
        secrets=replace(plain.secrets, sealing_keys=(f"s1:{key}",), peppers=(f"p1:{key}",)),
        passwords=replace(plain.passwords, bcrypt_cost=cost),
        limits=replace(plain.limits, **plenty),
        audit=replace(plain.audit, checkpoint_file=str(folder / "checkpoints.jsonl")),
    )


def _populate(names: Sequence[str]) -> None:
    for name in names:
        with committing():
            user = users.create(
                username=name, display_name=name, emails=[f"{name}@example.org"], email_verified=True, actor="benchmark"
            )
            password.set_password(user, PASSWORD, actor=user.sub, vetted=True)
            totp.bind(user, "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", actor=None)
    db.session.remove()


def _csrf(text: str) -> str:
    found = _CSRF.search(text)
    if found is None:
        sys.exit("a page without a form")
    return found[1]


if __name__ == "__main__":
    sys.exit(main())
