"""A browser without a face: follows redirects, fills in forms, and stops where the relying application begins."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx

USERNAME, PASSWORD = "bench@example.org", "Quartz-Ferry-58-Lantern"
REDIRECT_URI = "https://rp.example.org/cb"
_NAMES = ("identifier", "username", "login", "email")


class NotSignedIn(Exception):
    """The pages led nowhere."""


class _Forms(HTMLParser):
    """The forms of a page: where they go and what stands in them."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect forms, their fields and their first button."""
        found = {name: value or "" for name, value in attrs}
        if tag == "form" and found.get("method", "get").lower() == "post":
            self.forms.append((found.get("action", ""), {}))
        elif tag in ("input", "button") and self.forms and found.get("name"):
            kind = found.get("type", "submit" if tag == "button" else "text")
            fields = self.forms[-1][1]
            if kind != "checkbox" and (kind != "submit" or not any(key.startswith("*") for key in fields)):
                fields[("*" if kind == "submit" else "") + found["name"]] = found.get("value", "")


def arrive(http: httpx.Client, url: str) -> dict[str, str]:
    """Open an authorization request and do what the pages want; returns the answer at the redirect URI. Raises NotSignedIn."""
    response = http.get(url)
    for _ in range(15):
        if response.is_redirect:
            target = urljoin(str(response.url), response.headers["Location"])
            if target.startswith(REDIRECT_URI):
                return dict(parse_qsl(urlsplit(target).query))
            response = http.get(target)
            continue
        response = _submitted(http, response)
    raise NotSignedIn(f"still at {response.url}")


def _submitted(http: httpx.Client, response: httpx.Response) -> httpx.Response:
    page = _Forms()
    page.feed(response.text)
    if response.status_code != 200 or not page.forms:
        raise NotSignedIn(f"{response.status_code} at {response.url}: {response.text[:300]}")
    action, fields = next((form for form in page.forms if "password" in form[1]), None) or _first_asking(page.forms)
    filled = {name.removeprefix("*"): value for name, value in fields.items()}
    filled |= {name: USERNAME for name in filled if name in _NAMES}
    filled |= {name: PASSWORD for name in filled if name == "password"}
    return http.post(
        urljoin(str(response.url), action or str(response.url)), data=filled, headers={"Referer": str(response.url)}
    )


def _first_asking(forms: list[tuple[str, dict[str, str]]]) -> tuple[str, dict[str, str]]:
    asking = [form for form in forms if any(name in _NAMES for name in form[1])]
    return (asking or forms)[0]
