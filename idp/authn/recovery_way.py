"""recovery_way — where somebody was going when they turned to «Forgot password?», so that they get there in the end.

Kept in Redis under the browser's digest, never in an address or a mail: the demand that was to be met, and the name that was typed
(sealed: people type passwords into the wrong field). Whoever opens the mail in another browser simply has no way back here.
"""

from __future__ import annotations

import base64
import json
from datetime import datetime

from idp import crypto, kv, web
from idp.authn import workstation
from idp.authn.assurance import Demand
from idp.authn.flow import LoginFlow
from idp.record import Record

LIFE_S = 7200  # as long as the request of an application waits: a mail may be slow, and its reader too
SHARED_S = 1800  # where many people share a browser: the time that a link lives, and some more to choose a password
MAX_NAME = 254
_AAD = "recovery-way"


class Way(Record):
    """The demand to go on with, and the name to begin with."""

    demand: Demand
    identifier: str = ""


def remember(found: LoginFlow | None, identifier: str) -> None:
    """Keep the way of this browser; a newer one replaces it."""
    _keep(found.demand if found else Demand(return_to="/"), identifier)


def rename(identifier: str) -> None:
    """Keep another name for the way of this browser, if it has one: the person has corrected what they typed."""
    way = find()
    if way is not None:
        _keep(way.demand, identifier)


def _keep(demand: Demand, identifier: str) -> None:
    kept = {
        "return_to": demand.return_to,
        "acr": demand.acr,
        "max_age_s": demand.max_age_s,
        "prompt": sorted(demand.prompt),
        "client_name": demand.client_name,
        "asked_at": demand.asked_at.isoformat() if demand.asked_at else None,
        "form_targets": demand.form_targets,
        "identifier": base64.b64encode(crypto.seal(identifier[:MAX_NAME].encode(), aad=_AAD)).decode(),
    }
    kv.client().set(_key(), json.dumps(kept), ex=SHARED_S if workstation.is_shared() else LIFE_S)


def find() -> Way | None:
    """Return the way of this browser, or None."""
    kept = kv.client().get(_key()) if web.context().browser_id else None
    if not kept:
        return None
    told = json.loads(str(kept))
    identifier = crypto.unseal(base64.b64decode(told.pop("identifier")), aad=_AAD).decode()
    asked_at = datetime.fromisoformat(told["asked_at"]) if told["asked_at"] else None
    told |= {"prompt": frozenset(told["prompt"]), "form_targets": tuple(told["form_targets"]), "asked_at": asked_at}
    return Way(Demand(**told), identifier)


def forget(_sender: object) -> None:
    """Forget the way and the name, in a browser that others use too: heard from `workstation.forgotten`."""
    sent = web.context().browser_id
    if sent:
        kv.client().delete(kv.key("recovery", "way", crypto.digest(sent)))


def _key() -> str:
    return kv.key("recovery", "way", crypto.digest(web.browser_id()))
