"""Applications that prove themselves by TLS (RFC 8705 section 2), behind a proxy that passes their certificate on (RFC 9440)."""

from __future__ import annotations

import ipaddress

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from idp import clients, clock
from idp.clients import InvalidMetadata
from idp.db import committing
from tests.conftest import CLAIMS_API
from tests.oauth.certs import HEADER, authority, issue
from tests.oauth.conftest import SEALING_KEY, Answer
from tests.oauth.signing import assertion_claims, jwks, key, proof, publishing, sign

SUBJECT = "CN=gateway,O=Clinic"
MACHINE = {
    "client_name": "Batch",
    "grant_types": ["client_credentials"],
    "redirect_uris": [],
    "scope": "claims.read",
    "resources": [CLAIMS_API],
}
BY_NAME = MACHINE | {"token_endpoint_auth_method": "tls_client_auth"}
BY_COPY = MACHINE | {"token_endpoint_auth_method": "self_signed_tls_client_auth"}


@pytest.fixture
def db_url(sqlite_url):
    """Nothing here depends on the database system."""
    return sqlite_url


@pytest.fixture
def ca_file(tmp_path):
    file = tmp_path / "ca.pem"
    file.write_text(authority().pem)
    return file


@pytest.fixture
def setup(ca_file):
    return with_mtls(ca_file)


def with_mtls(ca_file, **changes):
    mtls = {"header": HEADER, "trusted_ca": str(ca_file)} | changes
    return {"secrets": {"sealing_keys": (SEALING_KEY,)}, "server": {"trusted_proxies": 1}, "mtls": mtls}


@pytest.fixture
def machine(make_rp):
    return make_rp(**BY_NAME, tls_client_auth_subject_dn=SUBJECT)


def ask(rp, headers, **form):
    return rp.token(grant_type="client_credentials", headers=headers, **form)


def rejected(answer, told="") -> bool:
    assert told in answer.error_description, answer.error_description
    return (answer.status, answer.error, answer.access_token) == (401, "invalid_client", None)


# --- tls_client_auth --------------------------------------------------------------------------------------------------


def test_rfc8705_2_1_a_client_is_known_by_the_subject_of_its_certificate(machine):
    assert machine.raw_secret is None
    assert ask(machine, issue(SUBJECT, authority()).rfc9440).status == 200
    assert ask(machine, issue(SUBJECT, authority()).rfc9440).status == 200  # a renewed one is as good


@pytest.mark.parametrize("subject", ["CN=other,O=Clinic", "CN=gateway", "O=Clinic,CN=gateway", "CN=gateway,O=clinic"])
def test_rfc8705_2_1_another_subject_is_another_client(machine, subject):
    assert rejected(ask(machine, issue(subject, authority()).rfc9440), "its subject_dn is not the one")


@pytest.mark.parametrize(
    ("field", "wanted", "good", "bad"),
    [
        ("san_dns", "gate.example.org", x509.DNSName("GATE.example.org"), x509.DNSName("gate.example.com")),
        ("san_dns", "gate.example.org", x509.DNSName("gate.example.org"), x509.DNSName("*.example.org")),
        (
            "san_uri",
            "urn:clinic:gate",
            x509.UniformResourceIdentifier("urn:clinic:gate"),
            x509.UniformResourceIdentifier("urn:clinic:GATE"),
        ),
        (
            "san_ip",
            "2001:db8:0::1",
            x509.IPAddress(ipaddress.ip_address("2001:db8::1")),
            x509.IPAddress(ipaddress.ip_address("2001:db8::2")),
        ),
        ("san_email", "gate@example.org", x509.RFC822Name("gate@EXAMPLE.org"), x509.RFC822Name("Gate@example.org")),
    ],
)
def test_rfc8705_2_1_2_or_by_one_alternative_name(make_rp, field, wanted, good, bad):
    rp = make_rp(**BY_NAME, **{f"tls_client_auth_{field}": wanted})
    assert ask(rp, issue(SUBJECT, authority(), names=(bad, good)).rfc9440).status == 200
    for names in ((bad,), (x509.DNSName("x.example.org"),), ()):
        assert rejected(ask(rp, issue(SUBJECT, authority(), names=names).rfc9440), f"its {field} is not the one")


def test_rfc8705_2_1_a_name_in_another_field_does_not_count(make_rp):
    """A host of that name, or a subject that is spelt like it, is not the URI."""
    rp = make_rp(**BY_NAME, tls_client_auth_san_uri="gate.example.org")
    for names in ((x509.DNSName("gate.example.org"),), (x509.RFC822Name("a@gate.example.org"),)):
        assert rejected(ask(rp, issue("CN=gate.example.org", authority(), names=names).rfc9440))


@pytest.mark.parametrize(
    "made",
    [
        lambda: issue(SUBJECT, issue("CN=Clinic CA,O=Clinic", ca=True)),  # an authority that only has the name
        lambda: issue(SUBJECT),  # signed by itself
        lambda: issue(SUBJECT, issue("CN=leaf,O=Clinic", authority())),  # issued by what is no authority
        lambda: issue(SUBJECT, authority(), days=-0.5),
        lambda: issue(SUBJECT, authority(), began_days_ago=-1),
        lambda: issue(SUBJECT, authority(), purpose=ExtendedKeyUsageOID.SERVER_AUTH),
    ],
    ids=["false authority", "self-signed", "no authority", "expired", "not yet", "for servers"],
)
def test_rfc8705_7_3_the_chain_is_verified_here_whatever_the_proxy_did(machine, made):
    assert rejected(ask(machine, made().rfc9440), "expired, not for clients, or not issued by an authority")


def test_an_intermediate_authority_is_trusted_when_its_certificate_stands_in_the_file(machine, ca_file):
    between = issue("CN=Issuing CA,O=Clinic", authority(), ca=True)
    leaf = issue(SUBJECT, between)
    assert rejected(ask(machine, leaf.rfc9440))
    ca_file.write_text(authority().pem + between.pem)
    assert ask(machine, leaf.rfc9440).status == 200


def test_without_the_file_nobody_is_proven(machine, ca_file):
    ca_file.write_text("no certificates")
    assert rejected(ask(machine, issue(SUBJECT, authority()).rfc9440), "the file with the authorities cannot be used")
    ca_file.unlink()
    assert rejected(ask(machine, issue(SUBJECT, authority()).rfc9440), "the file with the authorities cannot be used")


# --- self_signed_tls_client_auth --------------------------------------------------------------------------------------


def test_rfc8705_2_2_a_self_signed_certificate_is_known_by_its_copy(make_rp):
    own, other = issue(SUBJECT), issue(SUBJECT)
    rp = make_rp(**BY_COPY, jwks={"keys": [own.jwk()]})
    assert ask(rp, own.rfc9440).status == 200
    assert rejected(ask(rp, other.rfc9440), "it stands in no x5c of the client's keys")
    assert rejected(ask(rp, issue(SUBJECT, authority()).rfc9440), "it stands in no x5c")


def test_rfc8705_2_2_2_the_copy_may_be_published_and_replaced(make_rp):
    first, second = issue(SUBJECT), issue(SUBJECT)
    with publishing({"keys": [first.jwk()]}) as site:
        rp = make_rp(**BY_COPY, jwks_uri=site.url)
        assert ask(rp, first.rfc9440).status == 200
        site.show({"keys": [second.jwk()]})
        with clock.travel(30):
            assert ask(rp, second.rfc9440).status == 200
            assert rejected(ask(rp, first.rfc9440))


def test_rfc7517_4_7_a_copy_beside_another_key_proves_nothing(make_rp):
    """Whoever may change a `jwks` must not smuggle in a weak key behind a certificate."""
    own, other = issue(SUBJECT), issue(SUBJECT)
    mixed = other.jwk(chain=own.jwk()["x5c"])
    with pytest.raises(InvalidMetadata):
        make_rp(**BY_COPY, jwks={"keys": [mixed]})
    with publishing({"keys": [mixed]}) as site:
        assert rejected(ask(make_rp(**BY_COPY, jwks_uri=site.url), own.rfc9440))


def test_rfc8705_2_2_its_dates_count(make_rp):
    for own, told in (
        (issue(SUBJECT, days=-0.5), "it expired on"),
        (issue(SUBJECT, began_days_ago=-1), "not valid before"),
    ):
        assert rejected(ask(make_rp(**BY_COPY, jwks={"keys": [own.jwk()]}), own.rfc9440), told)


# --- the header -------------------------------------------------------------------------------------------------------


def test_nginx_passes_it_on_as_pem_encoded_for_urls(make_app, sqlite_url, ca_file, signing_keys):
    app, rp = elsewhere(make_app, sqlite_url, with_mtls(ca_file, header_format="url_encoded_pem"), signing_keys)
    good = issue(SUBJECT, authority())
    with app.app_context():
        assert ask(rp, good.nginx).status == 200
        assert rejected(ask(rp, good.rfc9440), "not one certificate in PEM")
        assert rejected(ask(rp, {HEADER: good.nginx[HEADER] * 2}), "not one certificate in PEM")
        assert rejected(ask(rp, {HEADER: ""}), "no client certificate arrived")


@pytest.mark.parametrize(
    "text",
    [
        lambda good: f"{good}, {good}",  # two headers, as the server joins them
        lambda good: f"{good},{issue(SUBJECT, authority()).rfc9440[HEADER]}",
        lambda good: good.strip(":"),
        lambda good: f"{good};a=1",
        lambda good: "::",
        lambda good: ":AAAA:",
        lambda good: ":ä:",
        lambda good: f":{'A' * 20_000}:",
        lambda good: "-----BEGIN CERTIFICATE-----",
    ],
)
def test_attack_45_rfc9440_2_1_a_header_that_is_not_one_certificate_proves_nothing(machine, text):
    good = issue(SUBJECT, authority()).rfc9440[HEADER]
    assert rejected(ask(machine, {HEADER: text(good).encode().decode("latin-1")}), "The client certificate is refused")


def test_attack_45_only_the_header_of_the_setting_is_looked_at(machine):
    good = issue(SUBJECT, authority())
    for name in ("X-SSL-Client-Cert", "X-Forwarded-Client-Cert", "Client-Cert-Chain", "X-Client-Cert"):
        assert rejected(ask(machine, {name: good.rfc9440[HEADER]}), "no client certificate arrived")


def test_attack_45_f15_without_trusted_proxies_no_header_is_believed(make_app, sqlite_url, ca_file, signing_keys):
    changed = with_mtls(ca_file) | {"server": {"trusted_proxies": 0}}
    app, rp = elsewhere(make_app, sqlite_url, changed, signing_keys)
    with app.app_context():
        assert rejected(ask(rp, issue(SUBJECT, authority()).rfc9440), "no client certificate arrived")


def elsewhere(make_app, sqlite_url, changes, signing_keys):
    """Another installation, with its machine."""
    import sqlalchemy as sa

    from idp.db import db
    from idp.keys.model import SIGNING_KEYS
    from tests.oauth.conftest import RelyingParty

    app = make_app(sqlite_url, **changes)
    with app.app_context(), committing():
        db.session.execute(sa.insert(SIGNING_KEYS), signing_keys)
        made, _ = clients.create(BY_NAME | {"tls_client_auth_subject_dn": SUBJECT})
    return app, RelyingParty(app.test_client(), made, None)


# --- one way at a time ------------------------------------------------------------------------------------------------


def test_attack_42_the_client_id_alone_proves_nothing(machine, client, audit_trail):
    assert rejected(ask(machine, {}), "no client certificate arrived")
    assert client.post("/token", data={"grant_type": "client_credentials"}).status_code == 401
    assert "client.rejected" in audit_trail


def test_attack_40_o23_a_certificate_does_not_stand_in_for_a_secret_nor_a_secret_for_it(machine, make_rp):
    good = issue(SUBJECT, authority()).rfc9440
    basic = make_rp(**MACHINE)
    answer = basic.http.post(
        "/token", data={"grant_type": "client_credentials", "client_id": basic.client.client_id}, headers=good
    )
    assert answer.status_code == 401
    assert ask(basic, good).status == 200  # it showed a certificate that nobody asked for, and its secret is right
    assert rejected(ask(machine, good, client_secret="x" * 43))


@pytest.mark.parametrize("endpoint", ["/introspect", "/revoke", "/par", "/device_authorization"])
def test_rfc8705_2_it_works_wherever_a_client_authenticates(machine, client, endpoint):
    form = {"token": "x", "client_id": machine.client.client_id}
    good = client.post(endpoint, data=form, headers=issue(SUBJECT, authority()).rfc9440)
    bad = client.post(endpoint, data=form, headers=issue(SUBJECT).rfc9440)
    assert good.status_code != 401 and bad.status_code == 401


def test_attack_41_failures_are_counted(machine):
    wrong = issue(SUBJECT).rfc9440
    answers = [ask(machine, wrong).status for _ in range(32)]
    assert answers[0] == 401 and answers[-1] == 429


def test_a_client_may_go_from_a_secret_to_a_certificate_and_not_back(make_rp, client):
    rp = make_rp(**MACHINE)
    change = {"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_subject_dn": SUBJECT}
    with committing():
        clients.update(rp.client.client_id, change)
    assert rejected(rp.token(grant_type="client_credentials"))
    form = {"grant_type": "client_credentials", "client_id": rp.client.client_id}
    assert Answer(client.post("/token", data=form, headers=issue(SUBJECT, authority()).rfc9440)).status == 200
    with pytest.raises(InvalidMetadata):
        clients.update(rp.client.client_id, {"token_endpoint_auth_method": "client_secret_basic"})


# --- what may be registered, and what is advertised -------------------------------------------------------------------


@pytest.mark.parametrize(
    "metadata",
    [
        BY_NAME,
        BY_NAME | {"tls_client_auth_subject_dn": SUBJECT, "tls_client_auth_san_dns": "gate.example.org"},
        BY_NAME | {"tls_client_auth_subject_dn": "gateway"},
        BY_NAME | {"tls_client_auth_subject_dn": 7},
        BY_NAME | {"tls_client_auth_san_ip": "gate.example.org"},
        BY_NAME | {"tls_client_auth_san_dns": "x" * 513},
        MACHINE | {"tls_client_auth_subject_dn": SUBJECT},
        BY_COPY,
        BY_COPY | {"jwks": {"keys": [{k: v for k, v in issue(SUBJECT).jwk().items() if k != "x5c"}]}},
        BY_COPY | {"jwks": {"keys": [issue(SUBJECT).jwk(chain=["AAAA"])]}},
        MACHINE | {"tls_client_certificate_bound_access_tokens": "yes"},
    ],
)
def test_rfc8705_2_1_2_exactly_one_name_and_a_real_certificate(make_rp, metadata):
    with pytest.raises(InvalidMetadata):
        make_rp(**metadata)


def test_discovery_says_what_the_settings_make_possible(client):
    document = client.get("/.well-known/openid-configuration").get_json()
    for name in ("token", "revocation"):
        methods = document[f"{name}_endpoint_auth_methods_supported"]
        assert {"tls_client_auth", "self_signed_tls_client_auth"} <= set(methods)
    assert document["tls_client_certificate_bound_access_tokens"] is True
    assert "mtls_endpoint_aliases" not in document


@pytest.mark.parametrize(
    ("mtls", "possible"),
    [({"header": "", "trusted_ca": ""}, set()), ({"trusted_ca": ""}, {"self_signed_tls_client_auth"})],
)
def test_what_is_off_is_neither_advertised_nor_registered(make_app, sqlite_url, ca_file, mtls, possible):
    app = make_app(sqlite_url, **with_mtls(ca_file, **mtls))
    document = app.test_client().get("/.well-known/openid-configuration").get_json()
    assert {m for m in document["token_endpoint_auth_methods_supported"] if "tls" in m} == possible
    assert document.get("tls_client_certificate_bound_access_tokens", False) is bool(possible)
    with app.app_context():
        with pytest.raises(InvalidMetadata) as refused:
            clients.create(BY_NAME | {"tls_client_auth_subject_dn": SUBJECT})
        assert "mtls.trusted_ca" in str(refused.value.fields)


def test_rfc8705_5_another_host_may_ask_for_certificates(make_app, sqlite_url, ca_file, signing_keys):
    there = "https://mtls.login.example.org"
    app, rp = elsewhere(make_app, sqlite_url, with_mtls(ca_file, url=there), signing_keys)
    http = app.test_client()
    aliases = http.get("/.well-known/openid-configuration").get_json()["mtls_endpoint_aliases"]
    assert aliases["token_endpoint"] == f"{there}/token" and all(uri.startswith(there) for uri in aliases.values())
    form = {"grant_type": "client_credentials", "client_id": rp.client.client_id}
    answer = http.post("/token", data=form, headers=issue(SUBJECT, authority()).rfc9440, base_url=there)
    assert answer.status_code == 200
    for path in (
        "/login",
        "/authorize",
        "/.well-known/openid-configuration",
        "/",
    ):  # attack 70: pages live at the issuer
        assert http.get(path, base_url=there).status_code == 400
    assert http.post("/token", data=form, base_url="https://mtls.evil.example.com").status_code == 400


def test_x1_the_other_host_is_the_token_endpoint_too(make_app, sqlite_url, ca_file, signing_keys):
    there = "https://mtls.login.example.org"
    app, _ = elsewhere(make_app, sqlite_url, with_mtls(ca_file, url=there), signing_keys)
    with app.app_context(), committing():
        keyed, _ = clients.create(MACHINE | {"token_endpoint_auth_method": "private_key_jwt", "jwks": jwks(key())})
    for audience, status in ((f"{there}/token", 200), (there, 401), (f"{there}/par", 401)):
        raw = sign(assertion_claims(keyed.client_id, aud=audience), key())
        answer = app.test_client().post(
            "/token", data={"grant_type": "client_credentials", **proof(raw)}, base_url=there
        )
        assert answer.status_code == status, audience
