"""The POST of a logout token (Back-Channel Logout 1.0, sections 2.5 and 2.8): many at once, none for longer than five seconds.

The limit is for the whole exchange, so that an application that answers a byte at a time holds up nobody. Redirects are not
followed, proxies of the environment not used, and of an answer no more than the first words are read. A letter goes where idp/outbound.py
lets it go, and to the very address that was judged: applications chose these URIs (attack 62).
"""

from __future__ import annotations

import asyncio
import functools
import re
import ssl
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from idp import outbound
from idp.record import Record

if TYPE_CHECKING:  # loaded with the first letter
    import httpx

TIMEOUT_S = 5.0
MAX_PROBLEM = 200
_MAX_READ = 500


class Letter(Record):
    """A logout token and where it goes."""

    uri: str
    raw_token: str


class Answer(Record):
    """What the application said, or why it said nothing."""

    status: int | None
    problem: str | None = None
    final: bool = False  # trying again is useless

    @property
    def accepted(self) -> bool:
        """The application has ended its session, or had none."""
        return self.status in (200, 204)


def post_all(letters: Sequence[Letter]) -> Iterator[Answer]:
    """Post all letters at the same time and return the answers in their order."""
    return iter(asyncio.run(_post_all(letters)) if letters else ())


async def _post_all(letters: Sequence[Letter]) -> list[Answer]:
    """Each name is looked up once, so that a slow one does not take all turns."""
    import httpx

    places = {uri: asyncio.ensure_future(outbound.address_of(uri)) for uri in {letter.uri for letter in letters}}
    async with httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False, verify=_tls()) as http:
        return await asyncio.gather(*(_post(http, letter, places[letter.uri]) for letter in letters))


async def _post(http: httpx.AsyncClient, letter: Letter, place: asyncio.Future[str]) -> Answer:
    import httpx

    try:
        async with (
            asyncio.timeout(TIMEOUT_S),
            _sent(http, letter, await asyncio.shield(place)) as answer,
        ):
            if answer.status_code in (200, 204):
                return Answer(answer.status_code)
            said = _one_line(f"HTTP {answer.status_code} {await _first_words(answer)}")
            return Answer(answer.status_code, said, final=answer.status_code == 400)
    except TimeoutError:
        return Answer(None, f"no answer within {TIMEOUT_S:g} s")
    except outbound.Unreachable as refused:
        return Answer(None, _one_line(f"not sent: {refused}"))
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        return Answer(None, _one_line(f"{type(error).__name__}: {error}"))


def _sent(http: httpx.AsyncClient, letter: Letter, address: str) -> AbstractAsyncContextManager[httpx.Response]:
    """Post to the address; the header and TLS still name the host."""
    import httpx

    url = httpx.URL(letter.uri)
    return http.stream(
        "POST",
        url.copy_with(host=address),
        headers={"Host": url.netloc.decode("ascii")},
        extensions={"sni_hostname": url.host},
        data={"logout_token": letter.raw_token},
    )


async def _first_words(answer: httpx.Response) -> str:
    """Read how an application explains its refusal, for the operator."""
    read = b""
    async for chunk in answer.aiter_raw(_MAX_READ):
        read += chunk
        if len(read) >= _MAX_READ:
            break
    return read[:_MAX_READ].decode("ascii", "replace")


def _one_line(text: str) -> str:
    """What strangers wrote becomes one line of visible ASCII."""
    return re.sub(r"[^!-~]+", " ", text).strip()[:MAX_PROBLEM]


@functools.cache
def _tls() -> ssl.SSLContext:
    """The system's trusted certificates, read once."""
    return ssl.create_default_context()
