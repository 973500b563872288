"""What tokens look like, and how people are reached, from the command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask

from idp import users
from idp.db import committing
from tests.cli.conftest import Idp

Answer = Callable[..., Any]
CREATE = ("client", "create", "--name", "Claims", "--redirect-uri", "https://claims.example.org/cb")


def test_x2_the_default_algorithm_is_the_one_that_the_help_names(answer: Answer) -> None:
    assert answer(*CREATE)["id_token_signed_response_alg"] == "RS256"
    assert answer(*CREATE, "--first-party")["id_token_signed_response_alg"] == "ES256"


def test_algorithms_and_pairwise_subjects(idp: Idp, answer: Answer) -> None:
    made = answer(*CREATE, "--id-token-alg", "ES256", "--userinfo-alg", "RS256", "--pairwise")
    assert (made["id_token_signed_response_alg"], made["userinfo_signed_response_alg"]) == ("ES256", "RS256")
    assert made["subject_type"] == "pairwise" and answer(*CREATE)["subject_type"] == "public"
    assert "must be one of ES256, RS256" in idp(*CREATE, "--id-token-alg", "none", fails=1).output
    several = (*CREATE, "--redirect-uri", "https://other.example.org/cb", "--pairwise")
    assert "several hosts" in idp(*several, fails=1).output


def test_where_a_person_is_reached(idp: Idp, answer: Answer, inside: Flask) -> None:
    with committing():
        users.create(username="alice", display_name="Alice")
    made = answer("user", "contact", "alice", "--phone", "+1 555 0100", "--locality", "Larkfield", "--country", "US")
    assert made["contact"]["phone_number"] == "+1 555 0100"
    assert made["contact"]["address"] == {"formatted": "Larkfield\nUS", "locality": "Larkfield", "country": "US"}
    assert "begins with +" in idp("user", "contact", "alice", "--phone", "555", fails=1).output
    assert answer("user", "contact", "alice")["contact"] is None
