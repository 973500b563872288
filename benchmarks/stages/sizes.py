"""Does a request cost the same with a million people? A small and a large installation take turns."""

from __future__ import annotations

import random
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from urllib.parse import urlencode

import orjson
import redis

from benchmarks import machine, stores
from benchmarks.bench import Bench, Fact, Found
from benchmarks.fill import LIFE_S, Filled, fill, plan
from benchmarks.load import Round
from benchmarks.peers.base import Machine
from benchmarks.peers.ours import Ours
from benchmarks.turns import Table, take
from benchmarks.workloads import BY_NAME, Fixed, Refresh, Target, Workload
from idp import crypto
from idp.oauth.opaque import PREFIX

ASKED = (
    "discovery", "client_credentials_jwt", "client_credentials_opaque", "introspection", "userinfo", "refresh", "code_flow", "sign_in",
)  # fmt: skip
SPREAD = 2000  # of each: so many different clients, tokens and people are asked about
QUICK_ASKED, QUICK_PEOPLE, QUICK_LIVE = ("client_credentials_jwt", "introspection", "refresh"), 20_000, 160_000


class Large(Ours):
    """Our server on filled stores: what it is asked for is spread over them."""

    filled: Filled

    def _lasting(self, workload: Workload) -> Target:
        target = super()._lasting(workload)
        if workload.name == "client_credentials_jwt":
            assert isinstance(target, Fixed)
            ids = random.sample(range(1, self.filled.clients + 1), min(SPREAD, self.filled.clients))
            secret = self.machines[workload.name].secret
            headers = tuple(Machine(f"client-{number}", secret).headers["Authorization"] for number in ids)
            return replace(target, authorizations=headers)
        if workload.name == "introspection":
            assert isinstance(target, Fixed)
            return replace(target, bodies=tuple(urlencode({"token": token}) for token in self._opaque()))
        if workload.name == "userinfo":
            assert isinstance(target, Fixed)
            return replace(target, authorizations=tuple(f"Bearer {token}" for token in self._access_tokens(200)))
        return target

    def _refresh(self, count: int) -> Refresh:
        return Refresh(self.token_path, self.web.headers, tuple(self._unused(SPREAD)), share=count)

    def _unused(self, count: int) -> list[str]:
        """Return refresh tokens that nobody has used yet: each works once."""
        first, self._used = getattr(self, "_used", 0), getattr(self, "_used", 0) + count
        step = 7919  # prime to any number of families that we make, so that all are met
        return [f"refresh-{1 + (first + place) * step % self.filled.families}" for place in range(count)]

    def _access_tokens(self, count: int) -> list[str]:
        return [
            self.post(self.web.headers, grant_type="refresh_token", refresh_token=token)["access_token"]
            for token in self._unused(count)
        ]

    def opaque_value(self) -> bytes:
        """Return what an opaque token stands for, as the server wrote it, but good for as long as the run may take."""
        client = self.machines["client_credentials_opaque"]
        pairs = dict(pair.split("=", 1) for pair in client.form.split("&"))
        token = self.post(client.headers, **pairs)["access_token"]
        with redis.Redis(unix_socket_path=self.stores.socket) as kv:
            claims = orjson.loads(kv.get(self._key(token)) or b"")
        return orjson.dumps(claims | {"exp": claims["exp"] + LIFE_S})

    def _opaque(self) -> list[str]:
        tokens = [f"{PREFIX}bench-{number:037d}" for number in range(SPREAD)]
        value = self.opaque_value()
        with redis.Redis(unix_socket_path=self.stores.socket) as kv, kv.pipeline(transaction=False) as pipe:
            for token in tokens:
                pipe.set(self._key(token), value, ex=LIFE_S)
            pipe.execute()
        return tokens

    def _key(self, token: str) -> str:
        return f"bench{self.port}:opaque:{crypto.digest(token)}"


def run(bench: Bench) -> Found:
    """Fill one, leave the other small, and let them take turns."""
    people, live = (QUICK_PEOPLE, QUICK_LIVE) if bench.quick else (bench.people, bench.live)
    with ExitStack() as stack:
        small = Ours(bench.folder / "small", stack.enter_context(stores.beside(bench.stores)))
        large = Large(bench.folder / "large", stack.enter_context(stores.beside(bench.stores)))
        for peer in (small, large):
            peer.prepare()
            stack.callback(peer.start().stop)
        large.filled = fill(
            large, large.stores, plan(people=people, live=live), database="bench_large", value=large.opaque_value()
        )
        names = QUICK_ASKED if bench.quick else ASKED
        tables = [_table(small, large, BY_NAME[name], bench) for name in names]
    return Found("sizes", "Cost against size", _note(large.filled), tables, _facts(large.filled))


def _table(small: Ours, large: Large, workload: Workload, bench: Bench) -> Table:
    def turn(peer: Ours, seconds: float) -> Round:
        machine.settle(one.server for one in (small, large) if one.server)
        return peer.turn(workload, seconds)

    rows = take(
        workload.title,
        {"small": partial(turn, small), "large": partial(turn, large)},
        rounds=min(4, bench.rounds),
        seconds=bench.seconds,
    )
    return Table(workload.name, workload.title, workload.unit, rows, base="small", compares="cost against small")


def _note(filled: Filled) -> str:
    return (
        f"Large: {filled.people:,} people, {filled.clients:,} clients, {filled.live:,} live sessions and tokens ({filled.sessions:,} sessions and "
        f"{filled.opaque:,} opaque tokens in Valkey, {filled.families:,} refresh tokens with their families in PostgreSQL) and {filled.events:,} "
        f"events; {filled.database_gb:.1f} GB and {filled.valkey_gb:.1f} GB, filled in {filled.seconds:.0f} s. Small: one person and four clients. "
        f"The large one is asked about {SPREAD:,} different clients, tokens and people in turn, the small one about the same few. "
        "Both have a Valkey of their own, without its append-only file."
    )


def _facts(filled: Filled) -> list[Fact]:
    return [
        Fact("session_bytes", filled.session_bytes, "bytes", f"A session takes {filled.session_bytes:,.0f} bytes of Valkey, its two lists included"),
        Fact("opaque_bytes", filled.opaque_bytes, "bytes", f"An opaque token takes {filled.opaque_bytes:,.0f} bytes of Valkey"),
    ]  # fmt: skip
