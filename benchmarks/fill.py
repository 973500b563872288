"""A large installation: people, clients, families and events by SQL, sessions and opaque tokens by scripts inside Valkey.

Every row has the shape of a real one. Whose secrets the generator has to know are made so that it can: refresh token `i` is `refresh-<i>`.
The stores are filled side by side, with triggers and write-ahead waits off while it lasts; vacuumed and checkpointed at the end.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import redis
import sqlalchemy as sa

from benchmarks import machine
from benchmarks.peers.ours import Ours
from benchmarks.stores import Stores

LIFE_S = 12 * 3600
CLIENT_SECRET = "s" * 43
CLIENTS = 5_000  # at least: a round of first uses must not meet one twice
PROBE, STEP = 20_000, 20_000
MEMORY_SHARE = 0.55  # of what is available goes to Valkey at most
_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"

_SUB = "'_' || lpad(to_hex((i * 2654435761) % 4294967296), 32, '0')"
_DIGEST = "rtrim(translate(encode(sha256({}::bytea), 'base64'), '+/', '-_'), '=')"
_FAMILY = "'01930000-' || lpad(to_hex(i / 65536), 4, '0') || '-7' || right(lpad(to_hex(i), 4, '0'), 3) || '-8000-' || lpad(to_hex(i), 12, '0')"
_SID = "'f' || lpad(to_hex(i), 21, '0')"
_PERSON = (
    f"(SELECT i, {_SUB} AS sub, 'person-' || i || '@example.org' AS name FROM generate_series(1, :people) AS i) AS one"
)

_SQL = (
    f"""INSERT INTO users (sub, username, canonical_username, display_name, given_name, family_name, status, created_at, updated_at)
        SELECT sub, name, name, 'Person ' || i, 'Person', 'Number ' || i, 'active', now(), now() FROM {_PERSON}""",
    """INSERT INTO user_emails (user_id, address, canonical, is_primary, verified_at, created_at)
       SELECT id, username, username, true, now(), now() FROM users WHERE username LIKE 'person-%'""",
    "INSERT INTO login_names (name, user_id) SELECT username, id FROM users WHERE username LIKE 'person-%'",
    """INSERT INTO passwords (user_id, scheme, pepper_id, cost, sealed_hash, stamp, must_change, changed_at, failures)
       SELECT id, 'bcrypt-hmac-sha256', 'p1', 12, sha256(sub::bytea) || sha256(username::bytea) || sha256('x'), left(sub, 32), false, now(), 0
       FROM users WHERE username LIKE 'person-%'""",
    """INSERT INTO clients (client_id, client_name, metadata, secrets, created_at, updated_at)
       SELECT 'client-' || i, client_name, metadata, secrets, now(), now() FROM clients, generate_series(1, :clients) AS i
       WHERE client_id = 'bench-client-credentials-jwt'""",
    f"""INSERT INTO token_families (id, client_id, sub, sid, offline, scope, resources, claims, acr, amr, auth_time, created_at, expires_at)
        SELECT {_FAMILY}, 'bench-web', {_SUB.replace("i *", "(1 + i % :people) *")}, {_SID}, false, 'openid profile', '[]', '{{}}',
        'urn:idp:acr:1fa', 'pwd', now(), now(), now() + interval '12 hours' FROM generate_series(1, :families) AS i""",
    f"""INSERT INTO refresh_tokens (digest, family_id, issued_at, expires_at)
        SELECT {_DIGEST.format("('refresh-' || i)")} AS digest, {_FAMILY}, now(), now() + interval '12 hours'
        FROM generate_series(1, :families) AS i ORDER BY digest""",
    f"""INSERT INTO audit_events (event_id, time, event, outcome, subject, client_id, sid, address, user_agent, request_id, amr, details,
        seq, prev_hash, hash)
        SELECT {_FAMILY}, now() - interval '1 day' - make_interval(secs => i), 'token.refreshed', 'success',
        {_SUB.replace("i *", "(1 + i % :people) *")}, 'client-' || i % :clients, {_SID}, '192.0.2.' || i % 250, '{_AGENT}', left(md5(i::text), 20),
        'pwd', '{{"audience":"https://jwt.example.org/api"}}', -i, repeat('0', 64), repeat('0', 64) FROM generate_series(1, :events) AS i""",
)

_SESSIONS = """
for i = tonumber(ARGV[2]), tonumber(ARGV[3]) do
  local person = 1 + i % tonumber(ARGV[4])
  local sub = '_' .. string.format('%032x', (person * 2654435761) % 4294967296)
  local sid, at, ends = string.format('f%021x', i), ARGV[5] .. '.000000', ARGV[6] .. '.000000'
  redis.call('ZADD', ARGV[1] .. 'sso:of:' .. sub, ARGV[6], sid)
  redis.call('EXPIRE', ARGV[1] .. 'sso:of:' .. sub, 46800)
  redis.call('ZADD', ARGV[1] .. 'sso:ends', ARGV[6], sid .. ' ' .. sub)
  redis.call('HSET', ARGV[1] .. 'sso:s:' .. sid, 'sub', sub, 'acr', 'urn:idp:acr:1fa', 'address', '192.0.2.17', 'user_agent', ARGV[7],
    'secret_digest', redis.sha1hex(sid) .. 'abc', 'auth_time', at, 'started_at', at, 'seen_at', at, 'expires_at', ends, 'chosen_at', at,
    'amr', 'pwd', 'idle_s', '43200', 'locked_at', '')
  redis.call('EXPIRE', ARGV[1] .. 'sso:s:' .. sid, 46800)
end
"""
_OPAQUE = """
for i = tonumber(ARGV[2]), tonumber(ARGV[3]) do
  redis.call('SET', ARGV[1] .. 'opaque:' .. redis.sha1hex('o' .. i) .. 'abc', ARGV[4], 'EX', 43200)
end
"""


@dataclass
class Filled:
    """How much there is now, and what it took."""

    people: int
    clients: int
    families: int
    sessions: int
    opaque: int
    events: int
    seconds: float = 0.0
    session_bytes: float = 0.0  # in Valkey, each
    opaque_bytes: float = 0.0
    database_gb: float = 0.0
    valkey_gb: float = 0.0

    @property
    def live(self) -> int:
        """Sessions and tokens that live."""
        return self.sessions + self.opaque + self.families


def plan(*, people: int, live: int) -> Filled:
    """Say what is wanted: half of what lives are sessions, a quarter opaque tokens, a quarter refresh tokens."""
    return Filled(people, max(CLIENTS, people // 100), live // 4, live // 2, live // 4, events=people)


def fill(ours: Ours, stores: Stores, wanted: Filled, *, database: str, value: bytes) -> Filled:
    """Fill both stores. There are fewer sessions and tokens than wanted where memory does not allow them; `value` is what a token stands for."""
    began = time.monotonic()
    with redis.Redis(unix_socket_path=stores.socket) as client, ThreadPoolExecutor(1) as other:
        kv = _Valkey(client, f"bench{ours.port}:", wanted.people)
        kv.fit(wanted, value)
        sql = other.submit(_sql, sa.make_url(stores.postgres).set(database=database), wanted)
        kv.sessions(PROBE + 1, wanted.sessions)
        kv.opaque(PROBE + 1, wanted.opaque, value)
        wanted.database_gb = sql.result()
        wanted.valkey_gb = kv.used() / 1e9
    wanted.seconds = time.monotonic() - began
    return wanted


class _Valkey:
    def __init__(self, client: redis.Redis, prefix: str, people: int) -> None:
        self._client, self._prefix, self._people, self._now = client, prefix, people, int(time.time())

    def used(self) -> int:
        return int(self._client.info("memory")["used_memory"])

    def fit(self, wanted: Filled, value: bytes) -> None:
        """See what the first of each take, and want only as many as there is room for."""
        before = self.used()
        self.sessions(1, PROBE)
        between = self.used()
        self.opaque(1, PROBE, value)
        wanted.session_bytes, wanted.opaque_bytes = (between - before) / PROBE, (self.used() - between) / PROBE
        room = machine.memory_mb("MemAvailable") * 1e6 * MEMORY_SHARE
        needed = wanted.sessions * wanted.session_bytes + wanted.opaque * wanted.opaque_bytes
        share = min(1.0, room / needed)
        wanted.sessions, wanted.opaque = (max(PROBE, int(count * share)) for count in (wanted.sessions, wanted.opaque))
        wanted.families = min(int(wanted.families * share), wanted.sessions)

    def sessions(self, first: int, last: int) -> None:
        self._steps(_SESSIONS, first, last, self._people, self._now, self._now + LIFE_S, _AGENT)

    def opaque(self, first: int, last: int, value: bytes) -> None:
        self._steps(_OPAQUE, first, last, value)

    def _steps(self, script: str, first: int, last: int, *more: str | int | bytes) -> None:
        for number in range(first, last + 1, STEP):
            self._client.eval(script, 0, self._prefix, number, min(last, number + STEP - 1), *more)


def _sql(url: sa.URL, wanted: Filled) -> float:
    """Run the statements; returns the size of the database in GB. The back end of this connection may use every core meanwhile."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    numbers = {name: getattr(wanted, name) for name in ("people", "clients", "families", "events")}
    with engine.connect() as connection:
        os.sched_setaffinity(int(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()), machine.ALL_CORES)
        for setting in ("session_replication_role = replica", "synchronous_commit = off", "work_mem = '512MB'"):
            connection.exec_driver_sql(f"SET {setting}")
        for statement in _SQL:
            text = sa.text(statement)
            connection.execute(text, {name: numbers[name] for name in text._bindparams})
        connection.exec_driver_sql("VACUUM ANALYZE")
        connection.exec_driver_sql("CHECKPOINT")
        size = connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one()
    engine.dispose()
    return int(size) / 1e9
