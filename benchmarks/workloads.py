"""What is asked of every server, in the order of its worth; and what a request of it looks like to the generator."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Workload:
    """A kind of request. `connections`: how many at once; each of a `stateful` one goes through its own story."""

    name: str
    title: str
    unit: str = "requests/s"
    connections: int = 16
    stateful: bool = False
    long: bool = False  # takes twice the time, because there are fewer of them


WORKLOADS = (
    Workload("discovery", "Discovery document"),
    Workload("jwks", "Public keys"),
    Workload("client_credentials_jwt", "client_credentials, JWT (ES256), client_secret_basic"),
    Workload("client_credentials_assertion", "client_credentials, JWT (ES256), private_key_jwt"),
    Workload("client_credentials_opaque", "client_credentials, opaque and stored, client_secret_basic"),
    Workload("introspection", "Introspection of a stored token"),
    Workload("refresh", "Refresh with rotation, new ID token", connections=8, stateful=True, long=True),
    Workload("code_flow", "Code flow on a session: /authorize and /token", "flows/s", 8, stateful=True, long=True),
    Workload("userinfo", "UserInfo"),
    Workload(
        "sign_in", "Password sign-in from the first page to the session", "sign-ins/s", 4, stateful=True, long=True
    ),
)


@dataclass(frozen=True)
class Fixed:
    """The same request again and again; with `bodies`, each of them once."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    bodies: tuple[str, ...] = ()


@dataclass(frozen=True)
class Refresh:
    """Each connection refreshes its own token, and then the one that it was given."""

    path: str
    headers: dict[str, str]
    tokens: tuple[str, ...]
    form: str = ""


@dataclass(frozen=True)
class CodeFlow:
    """GET the authorization endpoint with the cookie of a session, then redeem the code."""

    authorize: str
    cookie: str
    path: str
    headers: dict[str, str]
    form: str


@dataclass(frozen=True)
class SignIn:
    """Open the first page, follow to the form, send it; `done` is how the address begins to which a good one leads."""

    first: str
    fields: str  # the form without what the page gives
    done: str
    failed: str


Target = Fixed | Refresh | CodeFlow | SignIn
