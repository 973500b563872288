"""A browser without JavaScript, a phone with an authenticator app, and a demo that really runs: what journeys are made of."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pyotp

from tests.serving import free_port

IDP = [sys.executable, "-c", "from idp.cli import main; main()"]


def free_ports(count: int) -> list[int]:
    """Ports that nobody has at this moment."""
    return [free_port() for _ in range(count)]


class RunningDemo:
    """`idp demo` as a process, and what it wrote for scripts."""

    def __init__(self, var: Path, *, ports: list[int] | None = None, options: tuple[str, ...] = ()) -> None:
        self.var = var
        self.ports = ports or free_ports(3)
        names = ("--port", "--claims-port", "--patients-port")
        numbers = [text for name, port in zip(names, self.ports, strict=True) for text in (name, str(port))]
        self.process = subprocess.Popen(
            [*IDP, "demo", "--var", str(var), *numbers, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said: list[str] = []
        self.ready = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.said.append(line)
            if "Stop: Ctrl-C" in line:
                self.ready.set()
        self.ready.set()

    def wait(self, timeout_s: float = 150.0) -> RunningDemo:
        """Wait for the table; fail with what was said instead."""
        assert self.ready.wait(timeout_s), self.output
        assert self.process.poll() is None, self.output
        return self

    @property
    def output(self) -> str:
        return "".join(self.said)

    @property
    def facts(self) -> dict[str, Any]:
        return json.loads((self.var / "demo.json").read_text())

    def person(self, username: str) -> dict[str, Any]:
        return next(one for one in self.facts["people"] if one["username"].startswith(username))

    def idp(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Another `idp` command on the same installation, as the security officer would type it."""
        command = [*IDP, "--config", str(self.var / "config.toml"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)

    def forget_codes(self, username: str) -> None:
        """As if a minute had passed for the authenticator apps of this person: journeys share people, and a code counts once."""
        store = sqlite3.connect(self.var / "idp.db", timeout=20)
        with store:
            store.execute(
                "UPDATE totp_authenticators SET last_step = 0 WHERE user_id = (SELECT id FROM users WHERE username = ?)",
                (username,),
            )
        store.close()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(120)


@dataclass
class Phone:
    """An authenticator app that never shows a code twice: the provider takes each one once."""

    secret: str
    forget: Callable[[], None] | None = None
    last_step: int = 0

    def code(self) -> str:
        """The newest code that was not used. When this step and the next are spent: waits, or lets the provider forget them."""
        while self.last_step > time.time() // 30:
            if self.forget:
                self.forget()
                self.last_step = 0
            else:
                time.sleep(0.2)
        self.last_step = max(int(time.time() // 30), self.last_step + 1)
        return pyotp.HOTP(self.secret).at(self.last_step)


@dataclass
class Form:
    """A form of a page: where it goes and what it would send untouched."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(known.get("action", ""), known.get("method", "get").lower()))
            self._open = True
        elif self._open and tag == "input" and "name" in known and known.get("type") not in ("checkbox", "submit"):
            self.forms[-1].fields[known["name"]] = known.get("value", "")
        elif self._open and tag == "button" and "name" in known:
            self.forms[-1].buttons.append((known["name"], known.get("value", "")))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = False


class Page:
    """What the browser shows."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.url = str(answer.url)
        self.text = answer.text
        self.status = answer.status_code

    @property
    def path(self) -> list[str]:
        """Every address on the way here."""
        return [str(step.url) for step in self.answer.history] + [self.url]

    def form(self, action: str) -> Form:
        """The form whose action contains this."""
        parser = _Forms()
        parser.feed(self.text)
        found = [form for form in parser.forms if action in form.action]
        assert found, f"no form for {action} on {self.url}:\n{self.text}"
        return found[0]

    def words(self) -> str:
        """The text without markup."""
        return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", self.text))


class Browser:
    """Keeps cookies, follows redirects, fills in forms."""

    def __init__(self) -> None:
        self.http = httpx.Client(
            follow_redirects=True, trust_env=False, timeout=60, headers={"User-Agent": "Journey/1"}
        )

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def open(self, url: str) -> Page:
        return Page(self.http.get(url))

    def submit(self, page: Page, action: str, **values: str) -> Page:
        """Send a form of the page, with these fields filled in."""
        form = page.form(action)
        headers = {"Origin": "/".join(page.url.split("/")[:3])}
        return Page(self.http.post(urljoin(page.url, form.action), data=form.fields | values, headers=headers))

    def sign_in(self, page: Page, person: dict[str, Any], phone: Phone) -> Page:
        """From the login page to wherever it leads."""
        page = self.submit(page, "/login/password", identifier=person["username"], password=person["password"])
        return self.submit(page, "/login/totp", code=phone.code())
