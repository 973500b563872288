"""`idp client registration-token`: who may register applications (RFC 7591 section 3)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from idp.clients import registration_tokens
from idp.db import committing
from tests.cli.conftest import Idp

Answer = Callable[..., Any]
GROUP = ("client", "registration-token")


def test_a_token_is_made_listed_without_its_text_and_withdrawn(idp: Idp, answer: Answer, inside: Flask) -> None:
    made = answer(*GROUP, "create", "--uses", "2", "--expires", "7d", "--label", "Partner")
    assert (made["label"], made["uses_left"]) == ("Partner", 2) and len(made["token"]) == 43
    listed = answer(*GROUP, "list")
    assert [one["id"] for one in listed["registration_tokens"]] == [made["id"]]
    assert made["token"] not in json.dumps(listed) + idp(*GROUP, "list").output
    with committing():
        assert registration_tokens.spend(made["token"])
    idp(*GROUP, "revoke", made["id"], "--yes")
    with committing():
        assert not registration_tokens.spend(made["token"])
    assert "no such registration token" in idp(*GROUP, "revoke", made["id"], "--yes", fails=1).output


@pytest.mark.parametrize("words", [("--expires", "soon"), ("--expires", "0h"), ("--scope", "fly"), ("--scope", " ")])
def test_what_cannot_be_made_is_said(idp: Idp, words: tuple[str, ...]) -> None:
    assert "Error" in idp(*GROUP, "create", *words, fails=1).output
