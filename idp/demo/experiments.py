"""experiments — «what if I present this token there?»: a newcomer sees what our tokens are good for, and what not."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, abort

from idp.demo.local_sessions import Tokens
from idp.demo.relying_app import SignedOut
from idp.demo.service import Service
from idp.demo.wire import parse


@dataclass(frozen=True, kw_only=True)
class Experiment:
    slug: str
    title: str
    hint: str
    at_peer: bool
    reason: str | None  # the word with which the API should refuse; None when it should accept
    lesson: str  # what the answer teaches


EXPERIMENTS = (
    Experiment(
        slug="own",
        title="Access token, right service",
        hint="The token that this service asked for, presented to this service.",
        at_peer=False,
        reason=None,
        lesson="Accepted: signature, issuer, type, audience, times and scope all fit.",
    ),
    Experiment(
        slug="peer",
        title="Access token, other service",
        hint="The same token, presented to the neighbour. One sign-in is not one token.",
        at_peer=True,
        reason="aud",
        lesson="Refused because of «aud»: the token names the service that it was issued for, and it is not this one.",
    ),
    Experiment(
        slug="id-token",
        title="ID token instead of access token",
        hint="The ID token says who signed in. It opens nothing.",
        at_peer=False,
        reason="typ",
        lesson="Refused because of «typ»: only a token of the type at+jwt is an access token.",
    ),
    Experiment(
        slug="tampered",
        title="Access token, one letter changed",
        hint="Somebody edits the token on its way.",
        at_peer=False,
        reason="signature",
        lesson="Refused because of the signature: it no longer belongs to the content.",
    ),
    Experiment(
        slug="none",
        title="No token at all",
        hint="The same request without the header.",
        at_peer=False,
        reason="missing",
        lesson="Refused, and the answer says where a token can be had.",
    ),
)


def blueprint(service: Service) -> Blueprint:
    """GET /try and /try/<experiment>: reads only, so links will do."""
    views = Blueprint("experiments", __name__)

    @views.get("/try")
    def index() -> Response:
        service.signed_in()
        return service.page("try.html", experiments=EXPERIMENTS, chosen=None)

    @views.get("/try/<slug>")
    def run(slug: str) -> Response:
        chosen = next((one for one in EXPERIMENTS if one.slug == slug), None)
        if chosen is None:
            abort(404, "There is no such experiment.")
        tokens = service.signed_in().tokens
        if tokens is None:
            raise SignedOut
        raw_token = _token_for(chosen, tokens)
        url = _url_for(chosen, service)
        answer = service.fetch(url, raw_token)
        return service.page(
            "try.html",
            experiments=EXPERIMENTS,
            chosen=chosen,
            url=url,
            shown_token=_shortened(raw_token),
            facts=_facts(raw_token, service.provider.issuer),
            verdict=f"{answer.status_code} {HTTPStatus(answer.status_code).phrase}",
            accepted=answer.status_code == 200,
            expected=answer.status_code in (200, 401) and answer.json().get("reason") == chosen.reason,
            challenge=answer.headers.get("WWW-Authenticate"),
            body=_pretty(answer.json()),
            suspect=answer.json().get("reason") if answer.status_code != 200 else None,
        )

    return views


def _token_for(experiment: Experiment, tokens: Tokens) -> str | None:
    return {
        "own": tokens.access_token,
        "peer": tokens.access_token,
        "id-token": tokens.id_token,
        "tampered": _tampered(tokens.access_token),
    }.get(experiment.slug)


def _url_for(experiment: Experiment, service: Service) -> str:
    if experiment.at_peer:
        return service.options.peer_url + service.kind.peer_api_path
    return service.options.base_url + service.kind.api_path


def _tampered(raw_token: str) -> str:
    """Change a letter in the middle of the signature."""
    head, _, signature = raw_token.rpartition(".")
    middle = len(signature) // 2
    return f"{head}.{signature[:middle]}{'A' if signature[middle] != 'A' else 'B'}{signature[middle + 1 :]}"


def _shortened(raw_token: str | None) -> str | None:
    return f"{raw_token[:18]}…{raw_token[-8:]}" if raw_token else None


def _facts(raw_token: str | None, issuer: str) -> list[tuple[str, str]]:
    """The members that decide, as a person reads them."""
    if raw_token is None:
        return []
    header, claims = parse(raw_token)
    shown: Mapping[str, Any] = {
        "typ": header.get("typ", "(none)"),
        "alg": header.get("alg"),
        "iss": claims.get("iss"),
        "aud": claims.get("aud"),
        "client_id": claims.get("client_id"),
        "scope": claims.get("scope"),
        "exp": _from_now(claims.get("exp")),
    }
    return [(name, _plain(value)) for name, value in shown.items() if value]


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _from_now(exp: Any) -> str | None:
    if not isinstance(exp, int):
        return None
    left_s = exp - int(time.time())
    return f"in {left_s // 60} min {left_s % 60} s" if left_s > 0 else "expired"


def _pretty(document: Any) -> str:
    text = json.dumps(document, indent=2, ensure_ascii=False)
    lines = text.splitlines()
    return text if len(lines) <= 24 else "\n".join([*lines[:22], "  …"])
