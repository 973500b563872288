"""spray — one password tried on many accounts, or more accounts failing than ever on a good day (attack 88). Owns Redis `spray:*`.

Limits by account and by address see nothing when each account and each address is used once. So the passwords themselves are
counted: under a keyed digest, never in the clear, how many accounts one wrong password was tried on within an hour. Beyond
`limits.accounts_per_password` it is not tried on another one. And all accounts that fail within an hour are counted, roughly: beyond
`limits.failing_accounts_per_hour` strangers' addresses have a tenth of their attempts for an hour. Both are an alarm in the audit, once
an hour. A browser that its person used before meets neither. Names that nobody has count like all others (7.86).
"""

from __future__ import annotations

import unicodedata

from idp import audit, crypto, kv, limits, web
from idp.config import settings
from idp.limits import Verdict

WINDOW_S = 3600
SCOPE = "password:alarm"

# KEYS: the accounts of one password. ARGV: the account, how many accounts, seconds, the mark of a told alarm.
# Answers {seconds to wait or 0, 1 if nobody was told yet}. An account that tried this password before may try it again.
_COUNT = kv.Script(
    """
    local known = redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 1
    if not known and redis.call('SCARD', KEYS[1]) >= tonumber(ARGV[2]) then
      return {math.max(1, redis.call('TTL', KEYS[1])), redis.call('SADD', KEYS[1], ARGV[4])}
    end
    redis.call('SADD', KEYS[1], ARGV[1])
    if redis.call('TTL', KEYS[1]) < 0 then redis.call('EXPIRE', KEYS[1], ARGV[3]) end
    return {0, 0}
    """
)
_TOLD = "!told"


def count(raw_password: str, account: str) -> Verdict:
    """Count one guess by what is guessed, before it is judged. `account`: a digest of the name as it was typed."""
    most = settings().limits.accounts_per_password
    wait_s, news = _COUNT([_key_of(raw_password)], [account, most, WINDOW_S, _TOLD])
    if news:
        _alarm("same_password", accounts=most)
    if wait_s:
        return Verdict(False, int(wait_s), "password")
    return _under_alarm()


def forgive(raw_password: str, account: str) -> None:
    """Forget a guess that was right: only failures count."""
    kv.call("SREM", _key_of(raw_password), account)


def failed(account: str) -> None:
    """Note that an account failed; raise the alarm when too many did. Counts to within a percent, in 12 kB."""
    client = kv.client()
    with client.pipeline(transaction=False) as pipe:
        pipe.pfadd(_failing(), account)
        pipe.ttl(_failing())
        pipe.pfcount(_failing())
        _, ttl_s, accounts = pipe.execute()
    if ttl_s < 0:
        client.expire(_failing(), WINDOW_S)
    if accounts > settings().limits.failing_accounts_per_hour and client.set(_alarmed(), "1", nx=True, ex=WINDOW_S):
        _alarm("many_accounts", accounts=accounts)


def _under_alarm() -> Verdict:
    if not kv.call("EXISTS", _alarmed()):
        return Verdict(True)
    near = limits.address_bucket(web.context().address or "")
    return limits.spend(SCOPE, near, count=max(1, settings().limits.address_per_minute // 10), window_s=60)


def _alarm(reason: str, *, accounts: int) -> None:
    audit.record(audit.Event.SPRAY_SUSPECTED, reason=reason, accounts=accounts, window_s=WINDOW_S)


def _key_of(raw_password: str) -> str:
    bounded = unicodedata.normalize("NFC", raw_password[:1024])
    return kv.key("spray", "of", crypto.mac("password-spray", bounded)[:22])


def _failing() -> str:
    return kv.key("spray", "failing")


def _alarmed() -> str:
    return kv.key("spray", "alarm")
