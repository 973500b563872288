"""People take their time: what an application asked for waits for them, and whoever comes too late is told where they came from."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask

from idp import clients, kv
from idp.authn import left_open
from idp.db import committing
from idp.users import User
from tests.authn.signing_in import NEW_PASSWORD, PASSWORD, Browser, code_of, new_secret
from tests.authn.signing_in import browser as new_browser
from tests.authn.signing_in import make_person as make_person_with_password
from tests.conftest import ISSUER
from tests.oauth.conftest import RelyingParty, answer_in

SECRET = new_secret()
WAITS_S = 7200
DOOR = "https://rp.example.org/begin"


@pytest.fixture
def person(app: Flask) -> User:
    return make_person_with_password("carol", secret=SECRET)


@pytest.fixture
def here(app: Flask) -> Browser:
    return reading(app)


def reading(app: Flask) -> Browser:
    """A browser that says that it wants pages."""
    made = new_browser(app)
    made.client.environ_base["HTTP_ACCEPT"] = "text/html"
    return made


@pytest.fixture
def ours(make_rp: Callable[..., RelyingParty], here: Browser) -> RelyingParty:
    return make_rp(client_name="Claims service", browser=here.client, initiate_login_uri=DOOR)


def ask(rp: RelyingParty, here: Browser, **changes: Any) -> Browser:
    """An application sends this browser here; it stops at the sign-in page."""
    here.answer, here.path = rp.authorize(**changes), ""
    return here._follow()


def finish(here: Browser) -> dict[str, str]:
    """Sign in, and read what the application is sent."""
    here.goals = ("/cb",)
    here.post(f"/login/password?flow={here.flow_id}", identifier="carol", password=PASSWORD)
    here.post(code=code_of(SECRET))
    return answer_in(here.answer)


def resumed(here: Browser) -> str:
    """The address that the flow of this browser ends at."""
    way = [str(kv.client().get(key)) for key in kv.client().keys(kv.key("left-open", "*"))]
    return re.search(r"/authorize/resume\?txn=[\w.~-]+", way[0])[0]  # type: ignore[index]


class TestAPageLeftOpen:
    @pytest.mark.parametrize("away_s", [1900, 6900])
    def test_the_sign_in_goes_on_to_the_application_that_asked(
        self, here: Browser, ours: RelyingParty, person: User, travel, away_s: int
    ) -> None:
        ask(ours, here, state="s-41")
        travel(away_s)
        here.give_password("carol")
        assert here.place == "/login" and "Claims service" in here.answer.text
        assert "open for too long" in here.answer.text, "they are told why they are asked again"
        assert finish(here)["state"] == "s-41"

    def test_ten_minutes_are_enough_for_redis_to_forget_the_flow(
        self, here: Browser, ours: RelyingParty, person
    ) -> None:
        ask(ours, here, state="s-40")
        kv.client().delete(*kv.client().keys(kv.key("flow", "*")))
        here.give_password("carol")
        assert here.place == "/login" and finish(here)["state"] == "s-40"

    def test_half_a_sign_in_is_not_kept_and_its_goal_is(
        self, here: Browser, ours: RelyingParty, person, travel
    ) -> None:
        ask(ours, here, state="s-42").give_password("carol")
        assert here.place == "/login/totp"
        travel(1801)
        here.post(code=code_of(SECRET))
        assert here.place == "/login", "the password has to be given again"
        assert finish(here)["state"] == "s-42"

    def test_a_page_of_the_account_is_led_to_as_well(self, here: Browser, person: User, travel) -> None:
        here.goals = ()
        here.get("/account/profile")
        travel(3600)
        here.give_password("carol")
        assert here.place == "/login"
        here.give_password("carol").post(code=code_of(SECRET))
        assert here.place == "/account/profile"

    def test_attack_17_another_browser_learns_nothing(
        self, app: Flask, here: Browser, ours: RelyingParty, travel
    ) -> None:
        page = ask(ours, here).path
        travel(1900)
        other = new_browser(app).get(page)
        assert other.place == "/login" and "Claims service" not in other.answer.text

    def test_attack_98_the_late_click_proves_nothing(self, here: Browser, ours: RelyingParty, person, travel) -> None:
        ask(ours, here)
        travel(1900)
        here.give_password("carol")
        assert here.place == "/login" and not here.secret

    def test_what_is_kept_is_no_secret_and_goes_with_the_flow(self, here: Browser, ours: RelyingParty, person) -> None:
        ask(ours, here, login_hint="carol@example.org")
        kept = [str(kv.client().get(key)) for key in kv.client().keys(kv.key("left-open", "*"))]
        assert len(kept) == 1 and "carol" not in kept[0]
        finish(here)
        assert kv.client().keys(kv.key("left-open", "*")) == []

    def test_an_errand_is_not_done_by_waiting(self, here: Browser, person: User, app: Flask) -> None:
        here.sign_in("carol", secret=SECRET).get("/account/security")
        here.post("/account/password")
        assert kv.client().keys(kv.key("left-open", "*")) == []

    def test_a_shared_workstation_forgets_what_a_person_had_begun(
        self, here: Browser, ours: RelyingParty, person, monkeypatch
    ) -> None:
        monkeypatch.setattr(left_open.workstation, "is_shared", lambda: True)
        ask(ours, here)
        assert len(kv.client().keys(kv.key("left-open", "*"))) == 1, "nobody's yet: whoever comes to the screen goes on"
        here.give_password("carol")
        assert kv.client().keys(kv.key("left-open", "*")) == []


class TestARequestThatWaits:
    def test_a_slow_recovery_ends_where_it_began(
        self, here: Browser, ours: RelyingParty, person: User, mailbox, travel
    ) -> None:
        ask(ours, here, state="s-43")
        here.post(f"/recover/begin?flow={here.flow_id}", identifier="carol", lost="password")
        travel(1500)
        here.post(identifier="carol")
        link = re.search(re.escape(ISSUER) + r"(/recover/password/new\?token=[\w-]{43})\n", mailbox()[-1].body)
        assert link
        travel(800)
        here.get(link[1]).post(new_password=NEW_PASSWORD)
        travel(900)
        here.get("/recover/continue")
        here.goals = ("/cb",)
        here.give_password("carol", NEW_PASSWORD).post(code=code_of(SECRET)).post(answer="mine")
        assert answer_in(here.answer)["state"] == "s-43"

    def test_it_waits_as_long_as_the_setting_says(self, here: Browser, ours: RelyingParty, travel) -> None:
        ask(ours, here)
        keys = kv.client().keys(kv.key("authz", "*"))
        assert len(keys) == 1 and WAITS_S - 10 < kv.client().ttl(keys[0]) <= WAITS_S

    def test_attack_98_a_proof_from_long_ago_answers_no_demand_for_a_fresh_one(
        self, here: Browser, ours: RelyingParty, person: User, travel
    ) -> None:
        ask(ours, here, max_age="300")
        waiting = resumed(here)
        here.get("/login")
        finish_at_home(here)
        travel(601)
        here.get(waiting)
        assert here.place.startswith("/login"), "signed in after the request came, and still too long ago"

    def test_an_address_that_was_given_up_meanwhile_gets_no_code(
        self, here: Browser, ours: RelyingParty, person
    ) -> None:
        ask(ours, here)
        with committing():
            clients.update(ours.client.client_id, {"redirect_uris": ["https://rp.example.org/new"]})
        here.goals = ()
        here.give_password("carol").post(code=code_of(SECRET))
        assert here.answer.status_code == 400 and "not registered" in here.answer.text


class TestTooLate:
    def test_the_page_names_the_application_and_leads_back(
        self, here: Browser, ours: RelyingParty, person: User, travel
    ) -> None:
        ask(ours, here)
        travel(WAITS_S + 1)
        here.give_password("carol")
        assert (here.answer.status_code, here.place) == (400, "/authorize/resume")
        assert "Please start again from Claims service" in here.answer.text
        assert doors(here) == [f"{DOOR}?iss={ISSUER.replace(':', '%3A').replace('/', '%2F')}"]

    def test_without_a_place_where_it_begins_it_is_named_all_the_same(
        self, here: Browser, make_rp, person: User, travel
    ) -> None:
        ask(make_rp(client_name="Old & Plain", browser=here.client), here)
        travel(WAITS_S + 1)
        here.give_password("carol")
        assert "from Old &amp; Plain" in here.answer.text and doors(here) == []
        assert 'href="/"' in here.answer.text

    def test_who_goes_back_after_it_was_answered_is_led_on(self, here: Browser, ours: RelyingParty, person) -> None:
        ask(ours, here)
        waiting = resumed(here)
        finish(here)
        assert len(doors(here.get(waiting))) == 1 and here.answer.status_code == 400

    def test_attack_76_nobody_sends_others_to_a_page_that_leads_to_their_application(
        self, app: Flask, here: Browser, make_rp, travel
    ) -> None:
        foreign = make_rp(
            client_name="Trap", first_party=False, client_uri="https://trap.example.org/", browser=here.client
        )
        ask(foreign, here)
        bound = resumed(here)
        posted = here.client.post("/authorize", data=foreign.params()).headers["Location"]
        travel(WAITS_S + 1)
        assert doors(here.get(bound)) == ["https://trap.example.org/"], "in the browser that it came from"
        for address in (bound, posted, bound[:-4] + "xxxx", "/authorize/resume?txn=a.b.c", "/authorize/resume"):
            victim = reading(app).get(address)
            assert victim.answer.status_code == 400 and doors(victim) == [] and "Trap" not in victim.answer.text

    def test_o9_a_request_that_came_by_post_is_led_back_in_the_house(
        self, app: Flask, here: Browser, ours: RelyingParty, travel
    ) -> None:
        posted = here.client.post("/authorize", data=ours.params()).headers["Location"]
        travel(WAITS_S + 1)
        assert len(doors(here.get(posted))) == 1

    def test_rfc9126_2_2_a_pushed_request_that_is_gone_leads_back_in_the_house_only(
        self, here: Browser, ours: RelyingParty, make_rp, travel
    ) -> None:
        foreign = make_rp(
            client_name="Trap", first_party=False, client_uri="https://trap.example.org/", browser=here.client
        )
        for party, expected in ((ours, 1), (foreign, 0)):
            gone = "urn:ietf:params:oauth:request_uri:gone"
            here.get(f"/authorize?client_id={party.client.client_id}&request_uri={gone}")
            assert here.answer.status_code == 400 and len(doors(here)) == expected

    def test_a_program_is_told_in_json(self, here: Browser, ours: RelyingParty, travel) -> None:
        ask(ours, here)
        waiting = resumed(here)
        travel(WAITS_S + 1)
        answer = here.client.get(waiting, headers={"Accept": "application/json"})
        assert answer.get_json()["error"] == "request_expired"


def doors(here: Browser) -> list[str]:
    """Where the page leads, outside of this server."""
    page = re.search(r"<main.*</main>", here.answer.text, re.S)
    assert page
    return [html.unescape(link) for link in re.findall(r'href="(https://[^"]+)"', page[0])]


def finish_at_home(here: Browser) -> None:
    """Sign in for the account's own page, in another tab."""
    here.give_password("carol").post(code=code_of(SECRET))
    assert urlsplit(here.path).path == "/"
