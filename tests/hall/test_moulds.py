"""Pages that are rendered once and filled in for each reader: nobody reads what belongs to somebody else."""

from __future__ import annotations

import html
import re

import pytest
from flask import Flask

from idp import language, web
from idp.authn import Demand, flow
from idp.web import moulds


def page_of(app: Flask, path: str = "/t/page", **options: object) -> str:
    return str(app.test_client().get(path, **options).text)  # type: ignore[arg-type]


@pytest.fixture
def pages(make_app, sqlite_url) -> Flask:
    app: Flask = make_app(sqlite_url)
    app.extensions["t.made"] = made = []

    def page(word: str = "w0", client_name: str = "Claims"):
        def values() -> dict[str, object]:
            made.append(client_name)
            return {
                "client_name": client_name,
                "identifier": "",
                "error": None,
                "password_rules": ["One"],
                "passkeys": True,
            }

        return web.moulded("login.html", key=client_name, holes={"flow_id": word}, values=values)

    app.add_url_rule("/t/page", "t_page", page)
    app.add_url_rule("/t/page/<word>", "t_word", page)
    app.add_url_rule("/t/page/<word>/<client_name>", "t_client", page)
    with app.app_context():
        yield app


def test_everybody_has_their_own_words_and_their_own_token(pages: Flask) -> None:
    first, second = page_of(pages, "/t/page/flow-one"), page_of(pages, "/t/page/flow-two")
    assert pages.extensions["t.made"] == ["Claims"], "rendered once"
    assert "flow-one" in first and "flow-two" in second and "flow-one" not in second
    tokens = [set(re.findall(r'name="csrf" value="([^"]+)"', text)) for text in (first, second)]
    assert len(tokens[0]) == len(tokens[1]) == 1 and tokens[0] != tokens[1]
    assert "to=/t/page/flow-two" in second, "the link to another language leads back here"
    assert moulds._MARK not in first + second


def test_it_is_the_page_that_rendering_makes(pages: Flask) -> None:
    client = pages.test_client()
    client.get("/t/page/warm")

    def rendered():
        shown = {"client_name": "Claims", "identifier": "", "error": None, "password_rules": ["One"], "passkeys": True}
        return web.page("login.html", flow_id="w0", **shown)

    pages.view_functions["t_word"], moulded = (lambda word: rendered()), client.get("/t/page/w0").text
    assert client.get("/t/page/w0").text == moulded


def test_what_is_put_in_is_escaped(pages: Flask) -> None:
    text = page_of(pages, "/t/page/%22%3E%3Cscript%3Ealert(1)")
    assert "<script>alert" not in text and html.escape('"><script>') in text.replace("&#34;", "&quot;")


def test_names_and_languages_have_moulds_of_their_own_and_not_without_end(pages: Flask) -> None:
    assert "Radiology" in page_of(pages, "/t/page/w/Radiology") and "Radiology" not in page_of(pages, "/t/page/w")
    spanish = page_of(pages, headers={"Accept-Language": "es"})
    assert 'lang="es"' in spanish and 'lang="en"' in page_of(pages)
    for number in range(3 * moulds._MOST):
        page_of(pages, f"/t/page/w/Client{number}")
    assert len(pages.extensions[moulds._KEPT]) <= moulds._MOST


def test_changed_settings_make_it_anew(pages: Flask) -> None:
    import dataclasses

    page_of(pages)
    old = pages.extensions["idp.settings"]
    support = dataclasses.replace(old.support, phone="555-0100")
    pages.extensions["idp.settings"] = dataclasses.replace(old, support=support)
    assert "555-0100" in page_of(pages)


def test_the_sign_in_page_names_the_application_and_its_origin_alone(pages: Flask) -> None:
    def sign_in(name: str, origin: str):
        with pages.test_request_context("/"):
            found = flow.begin(Demand(return_to="/", client_name=name, form_targets=(origin,)))
            from idp.authn.views import login_page

            return found.id, login_page(found, "")

    for name, origin in (("Claims", "https://claims.example.org"), ("<Patients>", "https://patients.example.org")) * 2:
        flow_id, answer = sign_in(name, origin)
        text = answer.get_data(as_text=True)
        assert html.escape(name) in text and f"flow={flow_id}" in text
        assert origin in answer.headers["Content-Security-Policy"]
    assert language.current() == language.SOURCE
