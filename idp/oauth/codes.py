"""Authorization codes: in Redis, 60 s, good for one call (RFC 6749 section 4.1.2, F-6, F-7).

Redis keeps the digest of the code and what it is bound to. Redeeming takes the entry and leaves a tombstone for ten minutes,
in one atomic step, so that of any number of callers one has the code. The step looks whose code it is first: another client's attempt
burns nothing and leaves no trace that would make the owner's own call look like a replay (attack 26). The owner has one call, also
with a wrong verifier or redirect URI. Who comes later with a spent code *and* everything that belongs to it has the code from
somewhere: the family is revoked. Who comes with less learns nothing and harms nobody (X-8, attack 24).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import orjson
from authlib.oauth2.rfc6749 import InvalidGrantError

from idp import clock, crypto, kv
from idp.config import settings
from idp.oauth import pkce
from idp.oauth.errors import CodeReplayed

TOMBSTONE_S = 600

# KEYS: the code, its tombstone. ARGV: seconds that the tombstone stays, the client that asks, the members of a whole record.
# Answers {1, record} to the first call of the right client, {0, record} to its later ones, and nothing to anybody else.
_TAKE = kv.Script(
    """
    local fresh, kept = 1, redis.call('GET', KEYS[1])
    if not kept then fresh, kept = 0, redis.call('GET', KEYS[2]) end
    if not kept then return {0, false} end
    local whole, grant = pcall(cjson.decode, kept)
    if not whole or type(grant) ~= 'table' or grant.client_id ~= ARGV[2] then return {0, false} end
    for position = 3, #ARGV do
      if grant[ARGV[position]] == nil then return {0, false} end
    end
    if fresh == 1 then
      redis.call('DEL', KEYS[1])
      redis.call('SET', KEYS[2], kept, 'EX', ARGV[1])
    end
    return {fresh, kept}
    """
)


@dataclass(frozen=True)
class CodeGrant:
    """What a code stands for and what it is bound to."""

    family_id: str
    client_id: str
    redirect_uri: str
    redirect_uri_sent: bool  # the authorization request named it, so the token request must (RFC 6749 section 4.1.3)
    challenge: str
    nonce: str | None
    issued_at: int

    def get_redirect_uri(self) -> str | None:
        """Return what the token request must repeat (a name that Authlib calls)."""
        return self.redirect_uri if self.redirect_uri_sent else None


_MEMBERS = tuple(field.name for field in dataclasses.fields(CodeGrant))


def issue(grant: CodeGrant) -> str:
    """Put a code into circulation and return it: 256 random bits."""
    raw_code = crypto.random_token()
    key, _ = _keys(raw_code)
    kv.call("SET", key, orjson.dumps(dataclasses.asdict(grant)), "EX", settings().oauth.code_s)
    return raw_code


def redeem(raw_code: str, *, client_id: str, redirect_uri: str | None, verifier: str | None) -> CodeGrant:
    """Take an authorization code out of circulation (RFC 6749 section 4.1.3).

    A code lives 60 s and is good for one call of its client, even a call that fails later. Raises InvalidGrantError; or CodeReplayed, which
    carries `family_id`, for a second call that would have been right as the first (section 4.1.2).
    """
    fresh, kept = _TAKE(list(_keys(raw_code)), [TOMBSTONE_S, client_id, *_MEMBERS])
    if not kept:
        raise InvalidGrantError("The code is unknown, was used, is another client's, or is older than its lifetime.")
    found = orjson.loads(kept)
    grant = CodeGrant(**{name: found[name] for name in _MEMBERS})
    _check_binding(grant, redirect_uri=redirect_uri, verifier=verifier)
    if not fresh:
        raise CodeReplayed(grant.family_id)
    if clock.epoch() >= grant.issued_at + settings().oauth.code_s:
        raise InvalidGrantError("The code is older than its lifetime; begin a new authorization request.")
    return grant


def _check_binding(grant: CodeGrant, *, redirect_uri: str | None, verifier: str | None) -> None:
    if redirect_uri != grant.redirect_uri and (redirect_uri or grant.redirect_uri_sent):
        raise InvalidGrantError("redirect_uri is not the one of the authorization request.")
    pkce.check_verifier(verifier, grant.challenge)


def _keys(raw_code: str) -> tuple[str, str]:
    tag = "{" + crypto.digest(raw_code) + "}"  # one slot of a Redis Cluster for both
    return kv.key("code", tag), kv.key("code", tag, "spent")
