"""The configuration: what is unknown, mistyped or unsafe stops the start, and the message says where and how to mend it."""

from pathlib import Path

import pytest

from idp import config
from tests.conftest import fresh_key

SECRETS = f'[secrets]\nsealing_keys = ["{fresh_key("k1")}"]\npeppers = ["{fresh_key("p1")}"]\n'
AAGUID = "ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4"
GOOD = '[server]\nissuer = "https://login.example.org"\n' + SECRETS


def load(tmp_path: Path, text: str, **environ: str) -> config.Settings:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    return config.load(path, environ)


def refusal(tmp_path: Path, text: str, **environ: str) -> str:
    with pytest.raises(config.ConfigError) as caught:
        load(tmp_path, text, **environ)
    return str(caught.value)


def test_a_minimal_production_file_is_accepted_and_frozen(tmp_path: Path) -> None:
    settings = load(tmp_path, GOOD)
    assert settings.server.issuer == "https://login.example.org"
    assert settings.secure_cookies
    assert not settings.development
    with pytest.raises(AttributeError):
        settings.server.port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("colour = 1\n" + GOOD, 1, "colour is not a setting"),
        (GOOD + "[servr]\nport = 1\n", 6, "did you mean server?"),
        (GOOD.replace("[secrets]", "prot = 1\n[secrets]"), 3, "did you mean port?"),
        (GOOD.replace("[secrets]", 'port = "80"\n[secrets]'), 3, "server.port must be a whole number"),
        (GOOD.replace("[secrets]", "port = true\n[secrets]"), 3, "server.port must be a whole number"),
        (GOOD.replace("[secrets]", "port = 0\n[secrets]"), 3, "server.port must be at least 1"),
        (GOOD + '[passwords]\npreset = "lax"\n', 7, 'must be one of "complexity", "nist_800_63b_4"'),
        (GOOD + "[passwords]\nbcrypt_cost = 8\n", 7, "must be at least 10 in production"),
        (GOOD + "[sessions]\nidle_s = 7200\n", 7, "at most 3600 s idle"),
        (GOOD + "[sessions]\nabsolute_s = 86401\n", 7, "sessions.allow_longer = true accepts more"),
        (GOOD + '[[policies]]\nroles = ["physician"]\nidle_s = 3601\n', 8, "at most 3600 s idle"),
        (GOOD + '[[policies]]\nroles = ["a"]\n[[policies]]\nroles = ["a"]\n', 7, "a stands in two tables"),
        (GOOD + "[[policies]]\nidle_s = 600\n", 6, "must name the roles"),
        (GOOD + '[[policies]]\nroles = ["a"]\nfactors = ["sms"]\n', 8, "must name some of passkey, totp"),
        (GOOD + '[[policies]]\nroles = ["a"]\nfactor = ["totp"]\n', 8, "did you mean factors?"),
        (GOOD + '[[policies]]\nroles = ["a"]\nhistory = 6\n', 8, "at most 5"),
        (GOOD + '[[policies]]\nroles = ["a"]\nmin_length = 7\n', 8, "must be at least 8"),
        (GOOD + '[factors]\nallowed = ["totp"]\nmin_acr = "urn:idp:acr:phr"\n', 7, "must hold passkey"),
        (GOOD + '[factors]\npasskey_aaguids = ["yubikey"]\n', 7, "must hold AAGUIDs"),
        (GOOD + f'[factors]\npasskey_aaguids = ["{AAGUID}"]\n', 7, "without it a model is only a claim"),
        (GOOD + '[factors]\npasskey_attestation_roots = ["/nowhere.pem"]\n', 7, "is not there"),
        (GOOD + '[factors]\npasskey_related_origins = ["https://a.example.org/x"]\n', 7, "must be an origin"),
        (GOOD + '[factors]\npasskey_count_regression = "ignore"\n', 7, 'must be one of "refuse", "report"'),
        (GOOD + "[oauth]\ncode_s = 120\n", 7, "at most 60"),
        (GOOD + '[oauth]\nsigning_algs = ["ES256"]\n', 7, "include RS256"),
        (GOOD + '[outbound]\nallowed_networks = ["8.8.8.0/24"]\n', 7, "must be a private network"),
        (GOOD + '[outbound]\nallowed_networks = ["0.0.0.0/0"]\n', 7, "must be a private network"),
        (GOOD + '[outbound]\nallowed_networks = ["169.254.0.0/16"]\n', 7, "must be a private network"),
        (GOOD + '[outbound]\nallowed_networks = ["10.0.0.1/8"]\n', 7, "must be a private network"),
        (GOOD + '[outbound]\nallowed_networks = ["hospital"]\n', 7, "must be a private network"),
        (GOOD + "[oauth]\nrequest_uri_by_reference = true\n", 7, 'must be one of "off", "signed", "any"'),
        (GOOD.replace("https:", "http:"), 2, "must start with https:// in production"),
        (GOOD.replace(".org", ".org/"), 2, "must not end with a slash"),
        (GOOD.replace(".org", ".org/idp"), 2, "no path"),
        ('mode = "demo"\n' + GOOD, 1, "loopback issuers only"),
        ('mode = "development"\n' + GOOD, 1, "loopback issuers only"),
    ],
)
def test_a_bad_setting_names_its_line_and_the_remedy(tmp_path: Path, text: str, line: int, told: str) -> None:
    message = refusal(tmp_path, text)
    assert f"line {line}:" in message, message
    assert told in message


def test_missing_secrets_stop_the_start_and_say_how_to_make_them(tmp_path: Path) -> None:
    message = refusal(tmp_path, '[server]\nissuer = "https://login.example.org"\n')
    assert "secrets.sealing_keys" in message
    assert "idp config secrets" in message


@pytest.mark.parametrize("bad", ["k1", "k1:", "k1:c2hvcnQ=", "k 1:" + "A" * 43 + "=", "k1:***"])
def test_a_malformed_key_is_refused_without_being_repeated(tmp_path: Path, bad: str) -> None:
    message = refusal(tmp_path, GOOD.replace("[secrets]\n", f'[secrets]\nsealing_keys = ["{bad}"]\n#', 1))
    assert "id:base64 of 32 random bytes" in message
    assert "c2hvcnQ=" not in message


def test_environment_wins_and_files_of_secrets_are_read(tmp_path: Path) -> None:
    secret = tmp_path / "pepper"
    secret.write_text(fresh_key("p9") + "\n")
    settings = load(tmp_path, GOOD, IDP_SERVER_PORT="9000", IDP_SECRETS_PEPPERS_FILE=str(secret))
    assert settings.server.port == 9000
    assert settings.secrets.peppers[0].startswith("p9:")
    assert "IDP_SERVER_PORT" in refusal(tmp_path, GOOD, IDP_SERVER_PORT="many")
    assert "cannot be read" in refusal(tmp_path, GOOD, IDP_MAIL_SMTP_PASSWORD_FILE=str(tmp_path / "none"))


def test_a_scope_has_one_owner(tmp_path: Path) -> None:
    resource = '[[resources]]\nidentifier = "https://{0}.example.org"\nname = "{0}"\nscopes = {{ "read" = "Read" }}\n'
    assert "a scope has one owner" in refusal(tmp_path, GOOD + resource.format("claims") + resource.format("patients"))


def test_x12_longer_sessions_are_accepted_only_by_name(tmp_path: Path) -> None:
    longer = "[sessions]\nallow_longer = true\nidle_s = 7200\nabsolute_s = 100000\n"
    policy = '[[policies]]\nroles = ["ward"]\nidle_s = 10800\n'
    settings = load(tmp_path, GOOD + longer + policy)
    assert (settings.sessions.idle_s, settings.policies[0].idle_s) == (7200, 10800)
    assert config.masked(settings)["policies"][0]["roles"] == ("ward",)


def test_masked_settings_hold_no_secret(tmp_path: Path) -> None:
    text = GOOD + '[database]\nurl = "postgresql+psycopg://idp:hunter2@db/idp"\n[mail]\nsmtp_password = "hunter3"\n'
    shown = str(config.masked(load(tmp_path, text)))
    assert "hunter" not in shown
    for line in SECRETS.splitlines()[1:]:
        assert line.split(":")[1][:20] not in shown


def test_a_missing_or_broken_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(config.ConfigError, match="there is no such file; `idp config example"):
        config.load(tmp_path / "none.toml", {})
    assert "not valid TOML" in refusal(tmp_path, "[server\n")
