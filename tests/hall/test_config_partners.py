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


MTLS = '[mtls]\nheader = "Client-Cert"\n'
PROXIED = GOOD.replace("[secrets]", "trusted_proxies = 1\n[secrets]")


def test_client_certificates_come_through_a_proxy(tmp_path: Path) -> None:
    settings = load(tmp_path, PROXIED + MTLS + 'url = "https://mtls.login.example.org"\n')
    assert (settings.mtls.header, settings.mtls.header_format) == ("Client-Cert", "rfc9440")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (GOOD + MTLS, "mtls.header needs server.trusted_proxies: this server's own TLS cannot pass"),
        (PROXIED + MTLS.replace("Client-Cert", "Client_Cert"), "mtls.header must be the name of a header of its own"),
        (PROXIED + MTLS.replace("Client-Cert", "Authorization"), "mtls.header must be the name of a header of its own"),
        (PROXIED + '[mtls]\ntrusted_ca = "/etc/idp/ca.pem"\n', "mtls.header is missing"),
        (PROXIED + '[mtls]\nurl = "https://mtls.login.example.org"\n', "mtls.header is missing"),
        (PROXIED + MTLS + 'url = "http://mtls.login.example.org"\n', "mtls.url must be https"),
        (PROXIED + MTLS + 'url = "https://mtls.login.example.org/token"\n', "mtls.url must be https"),
        (PROXIED + MTLS + 'url = "https://login.example.org"\n', "mtls.url is the issuer itself"),
        (PROXIED + MTLS + 'header_format = "pem"\n', 'mtls.header_format must be one of "rfc9440", "url_encoded_pem"'),
    ],
)
def test_attack_45_a_header_that_anybody_could_send_is_no_proof(tmp_path: Path, text: str, told: str) -> None:
    assert told in refusal(tmp_path, text)
