"""What is asked of every server, in the order of its worth; and what a request of it looks like to the generator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Workload:
    """A kind of request. `connections`: how many at once; each of a `stateful` one goes through its own story."""

    name: str
    title: str
    unit: str = "requests/s"
    connections: int = 16
    stateful: bool = False
    long: bool = False  # takes a second more, because there are fewer of them


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
)
SIGN_IN = Workload(
    "sign_in", "Password sign-in from the first page to the session", "sign-ins/s", 4, stateful=True, long=True
)
MIX = Workload("mix", "80 % refresh, 10 % code flow, 5 % introspection, 5 % sign-in", "stories/s", 6, True, True)
BY_NAME = {one.name: one for one in (*WORKLOADS, SIGN_IN, MIX)}


@dataclass(frozen=True)
class Fixed:
    """The same request again and again; with `bodies` or `authorizations`, each of them in its turn."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    bodies: tuple[str, ...] = ()
    authorizations: tuple[str, ...] = ()

    @property
    def is_cheap(self) -> bool:
        """A public document: wrk asks for so many that a script could not read the answers without being measured itself."""
        return self.method == "GET" and not (self.headers or self.authorizations)


@dataclass(frozen=True)
class Refresh:
    """Tokens dealt out to `share` connections; each refreshes its own in turn, and keeps what it was given for them."""

    path: str
    headers: dict[str, str]
    tokens: tuple[str, ...]
    share: int


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


@dataclass(frozen=True)
class Mix:
    """Several of these on each connection, in the shares of the cards of a deck."""

    parts: Mapping[str, Fixed | Refresh | CodeFlow | SignIn]
    deck: tuple[str, ...]


Target = Fixed | Refresh | CodeFlow | SignIn | Mix
