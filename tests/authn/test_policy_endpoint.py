"""GET /policy: what anybody may know of our password rules (X-6)."""

from __future__ import annotations

from idp.config import RolePolicy


def test_x6_the_policy_says_whether_it_departs_from_nist(make_app, sqlite_url):
    told = make_app(sqlite_url).test_client().get("/policy")
    assert told.status_code == 200 and told.mimetype == "application/json"
    assert {name: told.json[name] for name in ("preset", "nist_compliant", "deviations")} == {
        "preset": "complexity", "nist_compliant": False, "deviations": ["composition"],
    }  # fmt: skip
    length = told.json["rules"][0]
    assert (length["rule"], length["least"], length["most"]) == ("length", 12, 256)


def test_x6_a_switch_of_the_preset_changes_it(make_app, sqlite_url):
    told = make_app(sqlite_url, passwords={"preset": "nist_800_63b_4"}).test_client().get("/policy").json
    assert (told["nist_compliant"], told["deviations"]) == (True, [])
    assert [rule["rule"] for rule in told["rules"]] == ["length", "username", "blocklist", "history"]


def test_what_some_roles_owe_and_our_context_words_are_nobodys_business(make_app, sqlite_url):
    table = RolePolicy(roles=("administrator",), min_length=31)
    app = make_app(sqlite_url, policies=(table,), passwords={"context_words": ("mercyhealth",)})
    text = app.test_client().get("/policy").text
    assert "administrator" not in text and "31" not in text and "mercy" not in text
    assert app.test_client().head("/policy").status_code == 200
    assert app.test_client().post("/policy").status_code == 405
