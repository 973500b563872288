"""policy — what a person owes because of their roles: factors, level of assurance, lifetimes of sessions, rules for the password.

The general settings hold for everybody; a `[[policies]]` table changes some of them for some roles. Whoever has several such
roles owes the strictest of each value: a table that says nothing about a value has the general one. Pure, but for `of`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from urllib.parse import urlsplit

from idp.authn import assurance, password_policy
from idp.config import RolePolicy, Settings, settings
from idp.record import Record
from idp.users import User


class Policy(Record):
    """What one person owes. `factors` are the names of second factors that they may enrol and use; recovery codes always may be used.

    `trusted_device_s`: how long a browser may skip the second factor; 0 where every sign-in owes two factors.
    """

    require_second: bool
    factors: tuple[str, ...]
    min_acr: str
    idle_s: int
    absolute_s: int
    trusted_device_s: int
    four_eyes: bool  # a second person approves when the help desk lets them back in
    password: password_policy.Policy

    @property
    def least_acr(self) -> str:
        """The weakest `acr` that a sign-in can end with: two factors where both are owed, unless a trusted browser stands in for one."""
        owed = assurance.TWO_FACTORS if self.require_second and not self.trusted_device_s else assurance.ONE_FACTOR
        return assurance.stronger(self.min_acr, owed) or owed

    @property
    def preset(self) -> str:
        """Name of the password preset."""
        return self.password.preset


def of(user: User | None) -> Policy:
    """Return the policy of a person; None: of somebody without a role."""
    return of_roles(user.roles if user else (), settings())


def of_roles(roles: Iterable[str], config: Settings) -> Policy:
    """Return the strictest of each value among the tables that name one of these roles; without any, the general settings."""
    return _of_names(frozenset(roles), _Same(config))


class _Same:
    """Settings that are equal only to themselves: to compare or hash every value of theirs costs more than it spares."""

    def __init__(self, config: Settings) -> None:
        self.config = config

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.config is self.config

    def __hash__(self) -> int:
        return id(self.config)


@lru_cache(maxsize=64)
def _of_names(names: frozenset[str], same: _Same) -> Policy:
    config = same.config
    chosen = [table for table in config.policies if names & set(table.roles)] or [RolePolicy()]
    first, *others = (_of_table(table, config) for table in chosen)
    for other in others:
        first = _stricter(first, other)
    return first


def _of_table(table: RolePolicy, config: Settings) -> Policy:
    min_acr = table.min_acr or config.factors.min_acr
    second = config.factors.require_second if table.require_second is None else table.require_second
    second = second or min_acr != assurance.ONE_FACTOR
    general_s = config.factors.trusted_device_s
    return Policy(
        require_second=second,
        factors=_possible(config.factors.allowed if table.factors is None else table.factors, config),
        min_acr=min_acr,
        idle_s=table.idle_s or config.sessions.idle_s,
        absolute_s=table.absolute_s or config.sessions.absolute_s,
        trusted_device_s=_either(table.trusted_device_s, general_s) if min_acr == assurance.ONE_FACTOR else 0,
        four_eyes=config.recovery.four_eyes if table.four_eyes is None else table.four_eyes,
        password=password_policy.policy_of(_with_passwords(config, table), second_factor=second),
    )


def _either(said: int | None, general: int) -> int:
    return general if said is None else said


def _possible(names: tuple[str, ...], config: Settings) -> tuple[str, ...]:
    """Leave out the passkey where the issuer has an address in place of a name: browsers refuse it there (WebAuthn section 5.1.3)."""
    host = urlsplit(config.server.issuer).hostname or ""
    numeric = ":" in host or host.replace(".", "").isdigit()
    return tuple(name for name in names if name != "passkey" or not numeric) or names


def _with_passwords(config: Settings, table: RolePolicy) -> Settings:
    said = {name: getattr(table, name) for name in ("preset", "min_length", "history")}
    chosen = replace(config.passwords, **{name: value for name, value in said.items() if value is not None})
    return replace(config, passwords=chosen)


def _stricter(one: Policy, other: Policy) -> Policy:
    """Put two together. Roles that share no factor leave the passkey, which satisfies every demand."""
    shared = tuple(name for name in one.factors if name in other.factors)
    return Policy(
        require_second=one.require_second or other.require_second,
        factors=shared or ("passkey",),
        min_acr=max(one.min_acr, other.min_acr, key=assurance.LEVELS.index),
        idle_s=min(one.idle_s, other.idle_s),
        absolute_s=min(one.absolute_s, other.absolute_s),
        trusted_device_s=min(one.trusted_device_s, other.trusted_device_s),
        four_eyes=one.four_eyes or other.four_eyes,
        password=password_policy.stricter(one.password, other.password),
    )


def offers(factor: str) -> bool:
    """Say whether anybody here may use a factor: whoever is not known yet is offered what somebody may use."""
    return any(factor in judged.factors for _, judged in tables(settings()))


def tables(config: Settings) -> Iterator[tuple[tuple[str, ...], Policy]]:
    """Yield every policy with the roles that it is for; the general one first, with no role."""
    yield (), of_roles((), config)
    for table in config.policies:
        yield table.roles, of_roles(table.roles[:1], config)
