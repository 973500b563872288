"""What single pages owe: fields and their tokens, errors tied to fields, choices of equal weight, words."""

from __future__ import annotations

from markupsafe import Markup

from tests.each import on_each
from tests.pages.conftest import Render
from tests.pages.document import Page
from tests.pages.samples import CASES, CODES, COMMON, ENROL, PASSWORD_RULES, SESSION

ERRORS = [
    ("login.html", "error", ["identifier", "password"]),
    ("login.html", "locked", ["identifier", "password"]),
    ("factor_totp.html", "error", ["code"]),
    ("factor_recovery_code.html", "error", ["code"]),
    ("enrol_totp.html", "error", ["code"]),
    ("recovery_codes.html", "error", ["saved"]),
    ("password_change.html", "error", ["new_password"]),
    ("recover_password.html", "error", ["identifier"]),
    ("recover_username.html", "error", ["email"]),
    ("recover_new_password.html", "error", ["new_password"]),
]
TOKENS = [
    ("login.html", "identifier", "username webauthn"),
    ("login.html", "password", "current-password webauthn"),
    ("factor_totp.html", "code", "one-time-code"),
    ("enrol_totp.html", "code", "one-time-code"),
    ("password_change.html", "new_password", "new-password"),
    ("recover_new_password.html", "new_password", "new-password"),
    ("recover_password.html", "identifier", "username"),
    ("recover_username.html", "email", "email"),
]
POSTS = [
    ("login.html", "/login/password?flow=f1"),
    ("select_account.html", "/login/account?flow=f1"),
    ("factor_totp.html", "/login/totp?flow=f1"),
    ("factor_passkey.html", "/login/passkey?flow=f1"),
    ("enrol_passkey.html", "/enrol/passkey?flow=f1"),
    ("factor_recovery_code.html", "/login/recovery_code?flow=f1"),
    ("enrol_totp.html", "/enrol/totp?flow=f1"),
    ("recovery_codes.html", "/enrol/recovery-codes?flow=f1"),
    ("consent.html", "/consent?txn=t1"),
    ("recover_password.html", "/recover/password"),
    ("recover_username.html", "/recover/username"),
    ("end_session.html", "/end_session"),
]


@on_each("template, variant, names", ERRORS)
def test_w4_an_error_is_announced_takes_the_focus_and_is_tied_to_its_fields(
    render: Render, template: str, variant: str, names: list[str]
) -> None:
    page = render(template, variant)
    assert page.problem and page.problem["role"] == "alert"
    assert page.problem["tabindex"] == "-1" and page.problem.has("autofocus")
    assert [e for e in page.elements if e.has("autofocus")] == [page.problem]
    assert page.title.startswith("Error: ")
    for name in names:
        entry = page.field(name)
        assert entry["aria-invalid"] == "true"
        assert "problem" in entry["aria-describedby"].split()
    leads = [a for a in page.all("a") if page.problem in a.inside and a["href"] == f"#{names[0]}"]
    assert bool(leads) == (variant != "locked"), "who has to wait has nothing to mend"


@on_each("template, variant", [case for case in CASES if "error" not in case[1] and case[1] != "locked"])
def test_without_an_error_nothing_claims_one(render: Render, template: str, variant: str) -> None:
    page = render(template, variant)
    assert page.problem is None
    assert not page.title.startswith("Error")
    assert not [e for e in page.elements if e.has("aria-invalid") or e.get("role") == "alert"]


@on_each("template, name, token", TOKENS)
def test_w2_autocomplete_tokens(render: Render, template: str, name: str, token: str) -> None:
    assert render(template, "first").field(name)["autocomplete"] == token


@on_each("template, action", POSTS)
def test_a_form_posts_to_the_address_of_its_page(render: Render, template: str, action: str) -> None:
    assert render(template, "first").all("form")[0]["action"] == action


def test_a_passkey_has_a_form_of_its_own_that_only_a_script_can_send(render: Render) -> None:
    page = render("login.html", "first")
    form = page.all("form")[1]
    assert (
        form["action"] == "/login/passkey/sign-in?flow=f1" and form["data-options"] == "/login/passkey/options?flow=f1"
    )
    assert next(e for e in page.elements if e.has("data-passkey-start")).has("hidden")
    without = render("login.html", "no_passkeys")
    assert not [form for form in without.all("form") if "passkey" in form["action"]]


@on_each("template", ["login.html", "factor_totp.html", "enrol_totp.html", "select_account.html"])
def test_a_flow_id_cannot_leave_the_query(render: Render, template: str) -> None:
    assert render(template, "first", flow_id='f&x="1').all("form")[0]["action"].endswith("?flow=f%26x%3D%221")


@on_each("template", ["factor_totp.html", "enrol_totp.html"])
def test_w2_a_one_time_code_is_one_numeric_field(render: Render, template: str) -> None:
    page = render(template, "first")
    assert [e["name"] for e in page.fields() if e["name"] != "label"] == ["code"]  # an app also has a name
    assert page.field("code")["inputmode"] == "numeric"


def test_login_names_the_app_or_the_account(render: Render) -> None:
    assert "to continue to Claims service" in render("login.html", "first").one("main").text
    assert "to see your account" in render("login.html", "own_account").one("main").text


def test_login_has_name_and_password_on_one_page_and_both_ways_out(render: Render) -> None:
    page = render("login.html", "first")
    assert [e["name"] for e in page.fields()] == ["identifier", "password"]
    ways = [e for e in page.all("button") if e.get("form") == "forgot"]
    assert [(e["name"], e["value"]) for e in ways] == [("lost", "password"), ("lost", "username")]
    assert page.by_id("forgot")["action"] == "/recover/begin?flow=f1"


def test_login_help_stands_on_the_page(render: Render) -> None:
    details = render("login.html", "first").one("details").text
    for owed in (
        *PASSWORD_RULES,
        "e-mail address, or the username that your organisation gave you",
        "Firefox",
        "+1 555 0100",
    ):
        assert owed in details


def test_login_keeps_the_name_that_was_typed_and_never_the_password(render: Render) -> None:
    page = render("login.html", "error")
    assert page.field("identifier")["value"] == "maren"
    assert not page.field("password").has("value")


def test_the_focus_waits_where_typing_goes_on(render: Render) -> None:
    assert render("login.html", "first").field("identifier").has("autofocus")
    known = render("login.html", "first", identifier="maren")
    assert known.field("password").has("autofocus") and not known.field("identifier").has("autofocus")


@on_each("seconds, words", [(1, "in a second"), (30, "in 30 seconds"), (120, "in 2 minutes"), (121, "in 3 minutes")])
def test_a_wait_is_said_in_words(render: Render, seconds: int, words: str) -> None:
    problem = render("login.html", "locked", retry_after_s=seconds).problem
    assert problem and words in problem.text


def test_an_untested_browser_is_told_so_and_still_served(render: Render) -> None:
    page = render("login.html", "old_browser")
    assert "You can still sign in" in page.one("main").text
    assert page.field("password")


@on_each("template", ["login.html", "password_change.html", "recover_new_password.html"])
def test_n7_a_password_can_be_shown(render: Render, template: str) -> None:
    button = next(e for e in render(template, "first").all("button") if e.has("data-reveals"))
    assert (button["type"], button["aria-pressed"]) == ("button", "false")
    assert button["aria-label"] == "Show password"


@on_each("template", ["password_change.html", "recover_new_password.html"])
def test_w4_every_broken_rule_is_named_and_marked(render: Render, template: str) -> None:
    page = render(template, "error")
    assert page.problem
    assert "12 characters: 3 more." in page.problem.text and "Add at least 1 digit." in page.problem.text
    marked = {e["data-rule"]: "not met" in e.text for e in page.all("li") if e.has("data-rule")}
    assert [rule for rule, missed in marked.items() if missed] == ["length", "digit"]
    assert "new_password-rules" in page.field("new_password")["aria-describedby"].split()


def test_the_user_name_goes_with_a_new_password_to_the_password_manager(render: Render) -> None:
    name = render("password_change.html", "error").field("username")
    assert (name["value"], name["autocomplete"]) == ("maren", "username")


def _names(page: Page, name: str) -> list[str]:
    return [e["value"] for e in page.all("button") if e.get("name") == name]


def test_w11_consent_says_who_what_where_and_how_long(render: Render) -> None:
    page = render("consent.html", "first")
    text = page.one("main").text
    assert page.one("h1").text == "Allow Ward Rounds?"
    for owed in ("rounds.example.com", "see your name and your role", "12 hours at most", "Withdraw it at any time"):
        assert owed in text
    assert "first time" in text and "what it asks for now" in render("consent.html", "more").one("main").text


def test_w11_deny_weighs_as_much_as_allow(render: Render) -> None:
    page = render("consent.html", "first")
    deny, allow = (next(e for e in page.all("button") if e.get("value") == value) for value in ("deny", "allow"))
    assert _names(page, "decision") == ["deny", "allow"]
    assert deny.inside == allow.inside
    assert set(allow["class"].split()) == {"button"} and set(deny["class"].split()) == {"button", "neutral"}


def test_an_account_is_chosen_by_name(render: Render) -> None:
    page = render("select_account.html", "first")
    assert _names(page, "choice") == ["continue", "other"]
    assert "Continue as Dr. Maren Oduya" in page.one("main").text


def test_enrolment_shows_picture_text_and_link(render: Render) -> None:
    page = render("enrol_totp.html", "first")
    key = page.by_id("key")
    assert key and key.words == ENROL["secret_groups"]
    assert next(e for e in page.elements if e.get("role") == "img")["aria-label"]
    assert ENROL["otpauth_uri"] in [a["href"] for a in page.all("a")]


def test_recovery_codes_are_all_shown_and_must_be_confirmed(render: Render) -> None:
    page = render("recovery_codes.html", "first")
    assert [code for code in CODES if code in page.one("ol").text] == CODES
    assert page.field("saved")["type"] == "checkbox" and page.field("saved").has("required")
    assert {"data-copies", "data-prints"} <= {name for e in page.all("button") for name in e.attributes}
    assert "/enrol/recovery-codes/file?flow=f1" in [a["href"] for a in page.all("a")], "saved without a script"


@on_each("template", ["recover_password.html", "recover_username.html"])
def test_recovery_answers_the_same_for_everybody(render: Render, template: str) -> None:
    page = render(template, "sent")
    status = next(e for e in page.elements if e.get("role") == "status")
    assert status.text.strip().startswith("If ")


def test_a_dead_recovery_link_leads_to_a_new_one(render: Render) -> None:
    page = render("recover_new_password.html", "expired_error")
    assert not page.fields()
    assert "/recover/password" in [a["href"] for a in page.all("a")]


def test_sign_out_repeats_the_request_and_offers_to_stay(render: Render) -> None:
    page = render("end_session.html", "first")
    hidden = {e["name"]: e["value"] for e in page.all("input")}
    assert hidden["state"] == 'x"><script>alert(1)</script>' and hidden["client_id"] == "claims"
    assert _names(page, "decision") == ["stay", "sign_out"]


def test_signed_out_leads_back_only_where_it_was_told_to(render: Render) -> None:
    assert "https://claims.example.org/" in [a["href"] for a in render("signed_out.html", "return").all("a")]
    assert not [a for a in render("signed_out.html", "first").all("a") if a["href"].startswith("http")]


def test_attack_77_form_post_escapes_what_it_carries(render: Render) -> None:
    page = render("form_post.html", "first")
    form = page.one("form")
    assert form["action"] == "https://claims.example.org/cb"
    hidden = {e["name"]: e["value"] for e in page.all("input")}
    assert hidden == {"code": "c1", "state": '"><script>alert(1)</script>', "submit": "x"}
    assert [e for e in page.all("button") if form in e.inside and e["type"] == "submit" and not e.has("hidden")]


def test_home_greets_and_signs_out(render: Render) -> None:
    page = render("home.html", "first")
    assert page.one("h1").text == "Hello, Dr. Maren Oduya"
    assert "/end_session" in [a["href"] for a in page.all("a") if any(e.tag == "header" for e in a.inside)]
    assert "2026-03-02T07:04:00+00:00" in [e["datetime"] for e in page.all("time")]


def test_home_leads_to_the_other_browsers(render: Render) -> None:
    page = render("home.html", "full")
    assert "signed in on 2 other browsers" in page.one("main").text
    assert "/account/sessions" in [a["href"] for a in page.all("a") if page.one("main") in a.inside]
    assert "other browser" not in render("home.html", "first").one("main").text


def test_the_menu_of_an_account_says_where_one_is(render: Render) -> None:
    page = render("account_sessions.html", "several")
    assert {a["href"] for a in page.all("a") if a.get("aria-current") == "page"} == {"/account/sessions"}


def test_other_browsers_can_be_signed_out_and_this_one_by_the_front_door(render: Render) -> None:
    page = render("account_sessions.html", "several")
    assert [e["value"] for e in page.all("input") if e["name"] == "sid"] == ["s2"]
    actions = {form["action"] for form in page.all("form")} - {"/account/session"}  # staying signed in
    assert actions == {"/account/sessions/end", "/account/sessions/end-others"}
    assert {form["action"] for form in render("account_sessions.html", "one").all("form")} == {"/account/session"}


def test_an_error_page_says_what_to_do_and_which_number_to_tell(render: Render) -> None:
    text = render("error.html", "error").one("main").text
    assert "What you can do" in text and "Wait a minute" in text and COMMON["request_id"] in text


def test_help_answers_what_the_login_page_promises(render: Render) -> None:
    page = render("help.html", "first")
    for topic in ("username", "password", "code", "phone", "locked", "browsers", "contact"):
        assert page.by_id(topic)
    assert all(rule in page.one("main").text for rule in PASSWORD_RULES)


def test_demo_page_shows_codes_and_mail_with_working_links(render: Render) -> None:
    page = render("demo_mailbox.html", "first")
    assert {"492 039", "118 402"} <= {e.text for e in page.all("span")}
    assert [a for a in page.all("a") if a["href"].startswith("http://localhost:8000/recover/password/new?token=")]
    assert {e["data-seconds-left"] for e in page.all("span") if e.has("data-seconds-left")} == {"17"}


def test_without_support_details_people_are_still_told_whom_to_ask(render: Render) -> None:
    nobody = type(SESSION)(name="", email="", phone="", hours="")
    assert "IT service desk of your organisation" in render("login.html", "first", support=nobody).one("footer").text


def test_w8_a_language_written_from_right_to_left_turns_the_page(render: Render) -> None:
    html = render("login.html", "first", lang="ar-EG").one("html")
    assert (html["lang"], html["dir"]) == ("ar-EG", "rtl")
    assert render("login.html", "first", lang="es").one("html")["dir"] == "ltr"


def test_a_name_cannot_bring_markup(render: Render) -> None:
    page = render("consent.html", "first", client_name="<b>Bank</b>")
    assert not page.all("b") and Markup.escape("<b>Bank</b>") in page.source


@on_each("left, words", [(0, "no recovery code left"), (1, "one recovery code left"), (2, "2 recovery codes left")])
def test_home_warns_before_the_recovery_codes_run_out(render: Render, left: int, words: str) -> None:
    page = render("home.html", "first", codes_left=left)
    assert words in page.one("main").text
    assert "/account/recovery-codes" in [form["action"] for form in page.all("form")]
    assert " left" not in render("home.html", "first", codes_left=None, recent=[]).one("main").text
