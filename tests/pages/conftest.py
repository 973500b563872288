"""Render a page as the application does, but without the application: the templates, the sample contexts, a strict Jinja."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from idp import language
from tests.each import on_each
from tests.pages.account_samples import FRAME
from tests.pages.document import Page, parse
from tests.pages.samples import CASES, COMMON

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "templates"
STATIC = ROOT / "idp" / "static"

Render = Callable[..., Page]


@pytest.fixture(scope="session")
def pages() -> Environment:
    """The templates with the globals that `idp.web` gives them; a name that no view passes is an error."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, extensions=["jinja2.ext.i18n"]
    )
    catalogs = (language.plain_gettext, language.plain_ngettext)
    made.install_gettext_callables(*catalogs, newstyle=True)  # type: ignore[attr-defined]
    made.globals["language"] = language
    made.globals["here"] = lambda: "/login?flow=f1"
    made.globals["account_frame"] = lambda: FRAME
    made.globals["csrf_field"] = lambda: Markup('<input type="hidden" name="csrf" value="token">')
    made.globals["asset"] = lambda name: f"/static/{name}?v=1"
    return made


@pytest.fixture(scope="session")
def render(pages: Environment) -> Render:
    """Return a function that renders one case, with changes to its context where wanted; without changes, once."""
    kept: dict[tuple[str, str], Page] = {}

    def rendered(template: str, variant: str, **changes: object) -> Page:
        if (template, variant) in kept and not changes:
            return kept[template, variant]
        page = parse(pages.get_template(template).render(**{**COMMON, **CASES[template, variant], **changes}))
        return page if changes else kept.setdefault((template, variant), page)

    return rendered


def on_every_page(rule: Callable[[Page], None]) -> Callable[..., None]:
    """Make a rule a test: it is tried on every page in every state, and its failure names the pages that break it."""

    def tried(template: str, variant: str, render: Render) -> None:
        rule(render(template, variant))

    tried.__name__, tried.__qualname__, tried.__doc__ = rule.__name__, rule.__qualname__, rule.__doc__
    tried.__module__ = rule.__module__
    return on_each("template, variant", sorted(CASES))(tried)
