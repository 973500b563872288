"""`idp config`, and what happens without a configuration that can be used."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from idp import config
from idp.cli import main
from tests.cli.conftest import Idp


def test_check_says_what_is_in_effect(answer: Callable[..., Any], config_file: Path) -> None:
    assert answer("config", "check") == {
        "ok": True, "source": str(config_file), "mode": "development", "issuer": "http://localhost:8000",
    }  # fmt: skip


def test_a_mistake_is_one_line_with_its_place_and_exit_2(idp: Idp, config_file: Path) -> None:
    config_file.write_text(config_file.read_text().replace("bcrypt_cost", "bcrypt_costs"))
    result = idp("config", "check", fails=2)
    assert len(result.output.strip().splitlines()) == 1
    assert "line 14" in result.output
    assert "did you mean bcrypt_cost?" in result.output


def test_a_mistake_can_be_read_by_programs(idp: Idp, config_file: Path) -> None:
    config_file.write_text("mode = 'nonsense'")
    told = json.loads(idp("--json", "user", "list", fails=2).stderr)
    assert told["exit_code"] == 2
    assert "mode must be one of" in told["error"]


def test_show_masks_every_secret(idp: Idp, config_file: Path) -> None:
    raw = tomllib.loads(config_file.read_text())
    hidden = [raw["secrets"]["sealing_keys"][0][3:], raw["secrets"]["peppers"][0][3:], raw["mail"]["smtp_password"]]
    for words in (("config", "show"), ("config", "show", "--json")):
        output = idp(*words).output
        assert not [secret for secret in hidden if secret in output]
        assert "http://localhost:8000" in output


def test_example_and_secrets_make_a_configuration_that_loads(tmp_path: Path) -> None:
    runner = CliRunner()
    example = runner.invoke(main, ["config", "example"]).stdout
    fresh = runner.invoke(main, ["config", "secrets"]).stdout
    again = runner.invoke(main, ["config", "secrets"]).stdout
    assert fresh != again
    text = example.replace("sealing_keys = []\n", "").replace("peppers = []\n", "").replace("[secrets]\n", fresh)
    file = tmp_path / "made.toml"
    file.write_text(text.replace('"http://localhost:8000"', '"https://login.example.org"', 1))
    assert config.load(file, {}).mode == "production"


def test_no_configuration_at_all_says_how_to_make_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["user", "list"])
    assert result.exit_code == 2
    assert "idp config example > config.toml" in result.output
    assert "Traceback" not in result.output


def test_the_file_is_found_here_or_by_the_environment(
    monkeypatch: pytest.MonkeyPatch, config_file: Path, tmp_path: Path
) -> None:
    monkeypatch.chdir(config_file.parent)
    assert "config.toml is fine" in CliRunner().invoke(main, ["config", "check"]).output
    monkeypatch.chdir("/")
    monkeypatch.setenv("IDP_CONFIG", str(config_file))
    assert "config.toml is fine" in CliRunner().invoke(main, ["config", "check"]).output


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("IDP_REDIS_URL=redis://127.0.0.1:1/0", "Redis does not answer"),
        ("IDP_DATABASE_URL=postgresql+psycopg://nobody@127.0.0.1:1/none", "The database cannot be used"),
    ],
)
def test_a_store_that_is_away_is_one_line_with_a_remedy(
    idp: Idp, answer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, setting: str, expected: str
) -> None:
    sub = answer("user", "create", "ada", "--name", "Ada Example")["sub"]
    name, _, value = setting.partition("=")
    monkeypatch.setenv(name, value)
    result = idp("user", "disable", sub, "--reason", "test", "--yes", fails=1)
    assert expected in result.output
    assert "idp doctor" in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_debug_shows_the_traceback(config_file: Path) -> None:
    config_file.write_text("mode = 1")
    result = CliRunner().invoke(main, ["--config", str(config_file), "--debug", "config", "check"])
    assert isinstance(result.exception, config.ConfigError)
