"""Does a request cost the same with a million people? A small and a large installation take turns."""

from __future__ import annotations

import random
import time
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from urllib.parse import urlencode

import httpx
import orjson
import redis

from benchmarks import load, machine, stores
from benchmarks.bench import Bench, Fact, Found
from benchmarks.fill import LIFE_S, Filled, fill, plan
from benchmarks.load import Round
from benchmarks.peers.base import Machine
from benchmarks.peers.ours import Ours
from benchmarks.turns import Table, Turn, take
from benchmarks.workloads import BY_NAME, Fixed, Refresh, Target, Workload
from idp import crypto
from idp.oauth.opaque import PREFIX

ASKED = (
    "discovery", "client_credentials_jwt", "client_credentials_opaque", "introspection", "userinfo", "refresh", "code_flow", "sign_in",
)  # fmt: skip
FORGETS_WITHIN_S = 1.1  # what a server knows of clients, once a change of one is told
CLIENTS_PROVE = BY_NAME["client_credentials_jwt"]
SPREAD = 2000  # of each: so many different clients, tokens and people are asked about
QUICK_ASKED, QUICK_PEOPLE, QUICK_LIVE = ("client_credentials_jwt", "refresh"), 20_000, 160_000


class Large(Ours):
    """Our server on filled stores: what it is asked for is spread over them."""

    filled: Filled

    def _lasting(self, workload: Workload) -> Target:
        target = super()._lasting(workload)
        if workload is CLIENTS_PROVE:
            assert isinstance(target, Fixed)
            return replace(target, authorizations=self._clients(workload, 1, SPREAD))
        if workload.name == "introspection":
            assert isinstance(target, Fixed)
            return replace(target, bodies=tuple(urlencode({"token": token}) for token in self._opaque()))
        if workload.name == "userinfo":
            assert isinstance(target, Fixed)
            return replace(target, authorizations=tuple(f"Bearer {token}" for token in self._access_tokens(200)))
        return target

    def _clients(self, workload: Workload, first: int, last: int) -> tuple[str, ...]:
        """Return what these clients prove themselves with, in random order."""
        ids, secret = list(range(first, last + 1)), self.machines[workload.name].secret
        random.shuffle(ids)
        return tuple(Machine(f"client-{number}", secret).headers["Authorization"] for number in ids)

    def meet(self, workload: Workload) -> None:
        """Ask once for each client of which the rounds will ask: what a first use costs has a table of its own."""
        assert self.server is not None
        target = self.target(workload, seconds=1.0)
        assert isinstance(target, Fixed)
        with httpx.Client(base_url=self.server.url, timeout=60, trust_env=False) as http:
            for one in target.authorizations:
                headers = target.headers | {"Authorization": one}
                http.post(target.path, content=target.body, headers=headers).raise_for_status()

    def uses(self, clients: tuple[str, ...], seconds: float) -> Round:
        """Ask for these clients, or for one of the few, when the server has just forgotten all that it knew of any."""
        assert self.server is not None
        with redis.Redis(unix_socket_path=self.stores.socket) as kv:
            kv.incr(f"bench{self.port}:clients:version")
        time.sleep(FORGETS_WITHIN_S)
        target = super()._lasting(CLIENTS_PROVE)
        assert isinstance(target, Fixed)
        asked = replace(target, authorizations=clients)
        return load.run(CLIENTS_PROVE, asked, self.server, seconds=seconds, folder=self.folder)

    def strangers(self) -> tuple[str, ...]:
        """Return more clients than a round asks for."""
        return self._clients(CLIENTS_PROVE, SPREAD + 1, self.filled.clients)

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
        if not bench.quick:
            tables.append(_first_uses(large, bench))
    return Found("sizes", "Cost against size", _note(large.filled), tables, _facts(large.filled))


def _table(small: Ours, large: Large, workload: Workload, bench: Bench) -> Table:
    def turn(peer: Ours, seconds: float) -> Round:
        machine.settle(one.server for one in (small, large) if one.server)
        return peer.turn(workload, seconds)

    turns: dict[str, Turn] = {"small": partial(turn, small), "large": partial(turn, large)}
    if workload is CLIENTS_PROVE:
        large.meet(workload)
    rows = take(workload.title, turns, rounds=min(4, bench.rounds), seconds=bench.seconds)
    return Table(workload.name, workload.title, workload.unit, rows, base="small", compares="cost against small")


def _first_uses(large: Large, bench: Bench) -> Table:
    turns: dict[str, Turn] = {
        "one client": partial(large.uses, ()),
        "another client each time": lambda seconds: large.uses(large.strangers(), seconds),
    }
    rows = take("First use of a client", turns, rounds=bench.few(), seconds=min(2.0, bench.seconds))
    note = "A worker that knows no client yet, as after a start: then it reads each once and keeps it for a minute."
    title = f"First use of a client: {CLIENTS_PROVE.title}"
    return Table("first_use", title, CLIENTS_PROVE.unit, rows, "one client", "cost against one client", note=note)


def _note(filled: Filled) -> str:
    return (
        f"Large: {filled.people:,} people, {filled.clients:,} clients, {filled.live:,} live sessions and tokens ({filled.sessions:,} sessions and "
        f"{filled.opaque:,} opaque tokens in Valkey, {filled.families:,} refresh tokens with their families in PostgreSQL) and {filled.events:,} "
        f"events; {filled.database_gb:.1f} GB and {filled.valkey_gb:.1f} GB, filled in {filled.seconds:.0f} s. Small: one person and four clients. "
        f"The large one is asked about {SPREAD:,} different clients, tokens and people in turn, the small one about the same few. "
        "Each of those clients was asked for once before; what a first use costs, the last table says. "
        "Both have a Valkey of their own, without its append-only file."
    )


def _facts(filled: Filled) -> list[Fact]:
    return [
        Fact("session_bytes", filled.session_bytes, "bytes", f"A session takes {filled.session_bytes:,.0f} bytes of Valkey, its two lists included"),
        Fact("opaque_bytes", filled.opaque_bytes, "bytes", f"An opaque token takes {filled.opaque_bytes:,.0f} bytes of Valkey"),
    ]  # fmt: skip
