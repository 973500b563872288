"""limits — how often somebody may try. Owns Redis `limits:*`; says no, and writes down that it said no.

`attempt` is for guesses (a password, a code): it counts before the guess is judged, in one atomic step over
- the account: free attempts, then a wait that doubles from 30 s to 1 h (N-10); success clears it (`clear`, N-11). A device
  from which the account was used before has a counter of its own, and the three windows below do not apply to it, so whoever floods
  an account or a shared address does not shut its owner out (attack 90);
- the address (IPv4 as it is, IPv6 by /64), its network (/24, /48) and everybody together: so many per minute. Success does not
  clear these, so that one good sign-in now and then buys no further guesses (attack 91).
A refused attempt is not counted: hammering on a locked account does not lock it for longer. The hard limit on failures in a row lies with the
factors, in the database: counters here may be lost. `spend` is the plain form: so many per window for any name and key.

When Redis is away every function raises kv.Unavailable: no counter, no attempt (attack 94). Redis Cluster: the keys of one call carry
the tag `{limits:<scope>}`, so they lie in one slot and the step stays atomic; scopes spread over the nodes, one scope does not.
Accounts appear in keys and in the audit only as keyed digests: people type passwords into the wrong field (attack 133).
"""

from __future__ import annotations

import functools
import ipaddress

from idp import audit, clock, crypto, kv, web
from idp.config import settings
from idp.config.schema import Limits
from idp.errors import TooMany
from idp.record import Record

_MINUTE_MS = 60_000
VISITS_OF_BROWSER, VISITS_WINDOW_S = 2, 600  # these two: times the attempts that an address has in a minute
VISITS_OF_ADDRESS = 5  # in a minute

_KEPT_MS = 24 * 3600 * 1000  # an account's counter is forgotten after a day without an attempt

# KEYS: every counter, the account's first if there is one; last the list of full windows, if there is one.
# ARGV: now in ms; ms that an account's counter is kept; 1 if there is an account; free attempts; 1 if there is a list; number of waits, the
#       waits in ms; then for each window: how many, ms.
# Answers {position of the refusing counter or 0, ms to wait, 1 if this refusal was not reported yet, or if the attempt filled a window}.
_CHARGE = kv.Script("""
local now, kept, account = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3] == '1'
local free, list, waits = tonumber(ARGV[4]), ARGV[5] == '1' and KEYS[#KEYS], tonumber(ARGV[6])
local counters, filled = #KEYS - tonumber(ARGV[5]), 0
local rest = 6 + waits
local longest = waits > 0 and tonumber(ARGV[rest]) or 0
local refused, wait, ends = 0, 0, '0'
local failures, windows = 0, {}

for position = 1, counters do
  local key = KEYS[position]
  if account and position == 1 then
    local seen = redis.call('HMGET', key, 'failures', 'until')
    failures = tonumber(seen[1]) or 0
    local left = math.min((tonumber(seen[2]) or 0) - now, longest)
    if left > 0 then refused, wait, ends = 1, left, seen[2] end
  else
    local most, span = tonumber(ARGV[rest + 1]), tonumber(ARGV[rest + 2])
    rest = rest + 2
    local seen = redis.call('HMGET', key, 'count', 'since')
    local count, since = tonumber(seen[1]) or 0, tonumber(seen[2]) or now
    if math.abs(now - since) >= span then count, since = 0, now end  -- clocks of workers differ a little
    windows[position] = {count + 1, since, span, most}
    local left = math.min(since + span - now, span)
    if count >= most and left > wait then refused, wait, ends = position, left, tostring(since) end
  end
end

if refused > 0 then
  local news = redis.call('HGET', KEYS[refused], 'told') ~= ends
  if news then redis.call('HSET', KEYS[refused], 'told', ends) end
  return {refused, wait, news and 1 or 0}
end

for position = 1, counters do
  local key, window = KEYS[position], windows[position]
  if window then
    redis.call('HSET', key, 'count', window[1], 'since', window[2])
    redis.call('PEXPIRE', key, 2 * window[3])
    if list and window[1] >= window[4] then
      filled = 1
      redis.call('ZREMRANGEBYSCORE', list, '-inf', now)
      redis.call('ZADD', list, window[2] + window[3], string.match(key, '[^:]+$'))
      redis.call('PEXPIRE', list, 2 * window[3])
    end
  else
    failures = failures + 1
    redis.call('HSET', key, 'failures', failures)
    if failures >= free then
      redis.call('HSET', key, 'until', now + tonumber(ARGV[6 + math.min(failures - free + 1, waits)]))
    end
    redis.call('PEXPIRE', key, kept)
  end
end
return {0, 0, filled}
""")


class Verdict(Record):
    """Whether an attempt may go on; if not, which limit said no ("account", "address", "network", "global" or a name)."""

    allowed: bool
    retry_after_s: int = 0
    limit: str | None = None
    is_last: bool = False  # of `spend` with a list: the next one will be refused

    def insist(self) -> None:
        """Go on or raise TooMany, which the edge answers with 429 and Retry-After."""
        if not self.allowed:
            raise TooMany(retry_after_s=self.retry_after_s)


class _Window(Record):
    name: str
    key: str
    most: int
    span_ms: int


def attempt(scope: str, *, account: str | None, address: str, known_device: bool = False) -> Verdict:
    """Count one guess and say whether it may be judged. Raises kv.Unavailable.

    `scope` names what is guessed ("login", "factor:totp"); `account` is the canonical name or the `sub`, so that spellings share one
    counter. `known_device` only when this browser proved that it was used for this very account. A refusal is recorded as
    `limit.exceeded`, once per window or lockout.
    """
    rules = settings().limits
    windows = [] if known_device and account else _windows(scope, address, rules)
    return _charge(scope, windows, _account_key(scope, account, known_device) if account else None, waits_s(rules))


def count(scope: str, *, account: str) -> Verdict:
    """Count one guess on an account alone, beside an `attempt` that was counted under another name of it. Raises kv.Unavailable."""
    return _charge(scope, [], _account_key(scope, account, known_device=False), waits_s(settings().limits))


def clear(scope: str, *, account: str, known_device: bool = False) -> None:
    """Forget the failures of an account after a success with this factor, on this kind of device. Raises kv.Unavailable."""
    kv.client().delete(_account_key(scope, account, known_device))


def spend(name: str, key: str, *, count: int, window_s: int, listed: bool = False) -> Verdict:
    """Count one use of `name` by `key` and say whether it is among the first `count` of a window. Raises kv.Unavailable.

    The window begins with the first use. For what is not a guess: token requests of a client, recovery mails to a person. `listed`: in
    the same step whose window is full comes on the list that `exhausted` reads.
    """
    window = _Window(name, _key(name, "spend", _hidden(key)), count, window_s * 1000)
    return _charge(name, [window], None, (), listed=listed)


def exhausted(name: str, *, most: int) -> frozenset[str] | None:
    """Return whom `spend`, with a list, would refuse now, by `listed_as`; None if they are more than `most`. Raises kv.Unavailable."""
    found = kv.call("ZRANGEBYSCORE", _key(name, "full"), f"({clock.milliseconds()}", "+inf", "LIMIT", 0, most + 1)
    return frozenset(found) if len(found) <= most else None


def is_exhausted(name: str, key: str) -> bool:
    """Say the same of one alone. Raises kv.Unavailable."""
    ends = kv.call("ZSCORE", _key(name, "full"), listed_as(key))
    return ends is not None and float(ends) > clock.milliseconds()


def listed_as(key: str) -> str:
    """Return what stands for a key on the list of `exhausted`."""
    return _hidden(key)


def visit(name: str) -> None:
    """Count one thing that we remember for a visitor whom nobody knows yet: a parked request, a sign-in that began.

    So many per browser, so that a tab that goes round in circles stops, and per address, because a stranger has as many browsers as he
    likes; many people of one house share an address. Raises TooMany, or kv.Unavailable.
    """
    seen, usual = web.context(), settings().limits.address_per_minute
    if seen.browser_id:
        most = VISITS_OF_BROWSER * usual
        spend(name, f"browser {seen.browser_id}", count=most, window_s=VISITS_WINDOW_S).insist()
    near = address_bucket(seen.address or "")
    spend(name, f"address {near}", count=VISITS_OF_ADDRESS * usual, window_s=60).insist()


def waits_s(rules: Limits) -> tuple[int, ...]:
    """Return how long an account waits after its last free attempt, after the next, and so on; the last one repeats."""
    waits = [min(rules.lockout_base_s, rules.lockout_max_s)]
    while waits[-1] < rules.lockout_max_s:
        waits.append(min(waits[-1] * 2, rules.lockout_max_s))
    return tuple(waits)


def address_bucket(address: str) -> str:
    """Return what one person can hardly have many of: an IPv4 address, or the /64 of an IPv6 address (attack 92)."""
    return _network(address, 32, 64)


def network_bucket(address: str) -> str:
    """Return the network around an address: /24 for IPv4, /48 for IPv6."""
    return _network(address, 24, 48)


@functools.lru_cache(maxsize=4096)
def _network(address: str, v4_bits: int, v6_bits: int) -> str:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"  # all of them share one bucket
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is None:
            return str(ipaddress.ip_network((parsed, v6_bits), strict=False))
        parsed = parsed.ipv4_mapped
    return str(ipaddress.ip_network((parsed, v4_bits), strict=False))


def _windows(scope: str, address: str, rules: Limits) -> list[_Window]:
    near, wide = address_bucket(address), network_bucket(address)
    return [
        _Window("address", _key(scope, "address", near), rules.address_per_minute, _MINUTE_MS),
        _Window("network", _key(scope, "network", wide), rules.network_per_minute, _MINUTE_MS),
        _Window("global", _key(scope, "global"), rules.global_per_minute, _MINUTE_MS),
    ]


def _charge(
    scope: str, windows: list[_Window], account_key: str | None, waits: tuple[int, ...], *, listed: bool = False
) -> Verdict:
    keys = ([account_key] if account_key else []) + [window.key for window in windows]
    names = (["account"] if account_key else []) + [window.name for window in windows]
    args = [clock.milliseconds(), _KEPT_MS, 1 if account_key else 0, settings().limits.account_free_attempts]
    args += [1 if listed else 0, len(waits), *(wait * 1000 for wait in waits)]
    for window in windows:
        args += [window.most, window.span_ms]
    refused, wait_ms, news = _CHARGE(keys + ([_key(scope, "full")] if listed else []), args)
    if not refused:
        return Verdict(True, is_last=bool(news))
    verdict = Verdict(False, max(1, -(-wait_ms // 1000)), names[refused - 1])
    if news:
        _write_down(scope, verdict, keys[refused - 1])
    return verdict


def _write_down(scope: str, verdict: Verdict, key: str) -> None:
    """Record the first refusal of a window or lockout; a flood must not fill the trail."""
    audit.record(
        audit.Event.LIMIT_EXCEEDED,
        reason=verdict.limit,
        scope=scope,
        retry_after_s=verdict.retry_after_s,
        bucket=key.rpartition(":")[2] if verdict.limit == "account" else None,
    )


def _account_key(scope: str, account: str, known_device: bool) -> str:
    return _key(scope, "known" if known_device else "account", _hidden(account))


def _hidden(name: str) -> str:
    return crypto.mac("limits", name)[:22]


def _key(scope: str, *parts: str) -> str:
    return kv.key(f"{{limits:{scope}}}", *parts)
