"""web — the edge: one commit per answer, request context, CSRF, cookies, security headers, error pages.

A view translates and returns an answer; the edge commits what the rooms staged, or rolls back when the view broke.

who.py       request context, cookies, browser id
forms.py     CSRF, parameters that come once, local paths
answers.py   pages, redirects, content security policy, static files
moulds.py    pages that come in floods: rendered once, filled in for each reader
failures.py  errors for a person or a program
reader.py    which language a page speaks
call.py      what a program sent and is told, without a framework
front.py     install(app); the short way of the busiest endpoints, in front of Flask
edge.py      hosts, methods, the commit, headers
"""

from idp.web.answers import (
    CSP_REPORTS,
    answer_json,
    asset,
    content_security_policy,
    document,
    origin_of,
    page,
    see_other,
    wants_json,
)
from idp.web.call import FORM, Answer, Call, call
from idp.web.edge import ALIASED, MAX_BODY, cors, hold_answer
from idp.web.failures import error_answer, explain
from idp.web.forms import (
    check_csrf,
    csrf_field,
    csrf_protected,
    csrf_token,
    duplicates,
    form_refused,
    local_path,
    single,
)
from idp.web.front import Endpoint, install, shorten
from idp.web.moulds import moulded
from idp.web.reader import choose_language, suggest_language
from idp.web.who import (
    RequestContext,
    browser_id,
    context,
    cookie_name,
    delete_cookie,
    read_cookie,
    renew_browser_id,
    set_cookie,
)

__all__ = [
    "ALIASED",
    "CSP_REPORTS",
    "FORM",
    "MAX_BODY",
    "Answer",
    "Call",
    "Endpoint",
    "RequestContext",
    "answer_json",
    "asset",
    "browser_id",
    "call",
    "check_csrf",
    "choose_language",
    "content_security_policy",
    "context",
    "cookie_name",
    "cors",
    "csrf_field",
    "csrf_protected",
    "csrf_token",
    "delete_cookie",
    "document",
    "duplicates",
    "error_answer",
    "explain",
    "form_refused",
    "hold_answer",
    "install",
    "local_path",
    "moulded",
    "origin_of",
    "page",
    "read_cookie",
    "renew_browser_id",
    "see_other",
    "set_cookie",
    "shorten",
    "single",
    "suggest_language",
    "wants_json",
]
