"""Settings about those outside whom we believe: what does not go together is told with its place and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from idp import config
from tests.hall.test_config import GOOD, load, refusal

RESOURCE = '[[resources]]\nidentifier = "https://claims.example.org/api"\nscopes = { "claims.read" = "See claims" }\n'
ISSUER = """[[trusted_issuers]]
issuer = "https://partner.example.org"
jwks = "/etc/idp/partner.jwks.json"
clients = ["gateway"]
scopes = ["claims.read"]
"""


def test_a_trusted_issuer_is_read_and_shown(tmp_path: Path) -> None:
    settings = load(tmp_path, GOOD + RESOURCE + ISSUER)
    (trusted,) = settings.trusted_issuers
    assert (trusted.issuer, trusted.subject, trusted.clients) == ("https://partner.example.org", "sub", ("gateway",))
    assert config.masked(settings)["trusted_issuers"][0]["scopes"] == ("claims.read",)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ('issuer = "https://partner.example.org"\n', "", "trusted_issuers.issuer is missing"),
        ("https://partner.example.org", "https://login.example.org", "trusted_issuers.issuer is this server itself"),
        ("/etc/idp/partner.jwks.json", "http://partner.example.org/jwks", "trusted_issuers.jwks must be a file"),
        ('clients = ["gateway"]', "clients = []", "trusted_issuers.clients must name"),
        ("claims.read", "openid", "trusted_issuers.scopes must name scopes of [[resources]]"),
        ("scopes =", 'algs = ["HS256"]\nscopes =', "trusted_issuers.algs must be among ES256"),
        ("scopes =", 'subject = "npi"\nscopes =', 'trusted_issuers.subject must be one of "sub", "username", "email"'),
        (ISSUER, ISSUER + ISSUER, "stands in two tables"),
    ],
)
def test_what_cannot_be_believed(tmp_path: Path, before: str, after: str, told: str) -> None:
    assert told in refusal(tmp_path, GOOD + RESOURCE + ISSUER.replace(before, after))
