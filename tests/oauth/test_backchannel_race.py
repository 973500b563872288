"""Several nodes run the job that delivers logout tokens: each token leaves once, on both database systems (O-40)."""

from __future__ import annotations

from idp import clock
from idp.db import committing, db
from idp.oauth import backchannel
from tests.conftest import in_threads
from tests.oauth.conftest import claims_of
from tests.oauth.receiver import listening


def _waiting(client_id: str, sid: str, sub: str) -> None:
    now = clock.now()
    row = backchannel.DeliveryRow(
        client_id=client_id, sub=sub, sid=sid, cause="user", created_at=now, next_attempt_at=now
    )
    db.session.add(row)


def test_o40_20_nodes_deliver_each_logout_token_once(app, make_rp, alice):
    with listening() as receiver:
        rp = make_rp(backchannel_logout_uri=receiver.uri)
        with committing():
            for number in range(5):
                _waiting(rp.client.client_id, f"sid-{number}", alice.sub)
        counts = in_threads(20, app, lambda _: backchannel.deliver_pending())
        assert sum(counts) == 5, counts
        assert sorted(claims_of(token)["sid"] for token in receiver.tokens) == [f"sid-{n}" for n in range(5)]
    db.session.commit()
    assert [row.attempts for row in backchannel.search()] == [1] * 5
