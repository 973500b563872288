"""left_open — where a sign-in was leading whose page lay open for too long, so that it goes on there. Owns Redis `left-open:*`.

A flow dies after ten minutes without a step, and all that was proved with it. What stays for its browser is the address that it would
have ended at, which knows by itself what it wants proved: the next click leads there, and so to a fresh sign-in for the same thing. Not kept:
errands («?done=password» would be a lie), and at a shared workstation what a person had begun, whom the next one is not.
"""

from __future__ import annotations

import json

from idp import crypto, kv, web
from idp.authn import workstation
from idp.authn.assurance import Demand
from idp.language import lazy_gettext

KEPT_S = 43200  # a sign-in page left open in the morning still knows where it led in the evening
LATE = "late"  # in the address that such a click is led to: the sign-in page says why it is asked again
EXPIRED = lazy_gettext("The sign-in page was open for too long, or belongs to another browser. Please sign in again.")


def keep(flow_id: str, demand: Demand) -> None:
    """Keep where a new flow leads."""
    if not demand.then:
        kept = json.dumps([crypto.digest(web.browser_id()), demand.return_to])
        kv.call("SET", _key(flow_id), kept, "EX", KEPT_S)


def move(old_id: str, new_id: str) -> None:
    """Follow a flow to its new id, now that it knows who the person is."""
    kept = kv.call("GETDEL", _key(old_id))
    if kept and not workstation.is_shared():
        kv.call("SET", _key(new_id), kept, "EX", KEPT_S)


def forget(flow_id: str) -> None:
    """Forget a flow that came to its end."""
    kv.call("DEL", _key(flow_id))


def way_of(flow_id: str) -> str | None:
    """Return the local address where a flow of this browser was leading (7.17), marked as late; None when nobody knows."""
    kept = kv.call("GET", _key(flow_id)) if 0 < len(flow_id) <= 64 else None
    browser_digest, return_to = json.loads(str(kept)) if kept else ("", "")
    if not crypto.same(browser_digest, crypto.digest(web.browser_id())):
        return None
    return web.local_path(f"{return_to}{'&' if '?' in return_to else '?'}{LATE}=1")


def _key(flow_id: str) -> str:
    return kv.key("left-open", crypto.digest(flow_id))
