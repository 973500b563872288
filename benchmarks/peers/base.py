"""The shape of a server in this comparison, and what OAuth makes the same for all of them."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import httpx
from joserfc import jws
from joserfc.jwk import ECKey

from benchmarks import browser, load, machine
from benchmarks.browser import REDIRECT_URI
from benchmarks.load import Round
from benchmarks.machine import Server
from benchmarks.stores import Stores
from benchmarks.turns import NoSuchThing
from benchmarks.workloads import CodeFlow, Fixed, Refresh, Target, Workload

VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
KEY = ECKey.generate_key("P-256", {"kid": "bench"})
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTIONS_A_SECOND = 4000  # more than will be asked for
_TARGET_LASTS_S = 120  # tokens live ten minutes; nobody is to measure how a dead one is refused
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class NotInstalled(Exception):
    """The peer cannot be had here; its row says why."""


@dataclass(frozen=True)
class Machine:
    """A client that asks for itself."""

    client_id: str
    secret: str
    form: str = "grant_type=client_credentials"

    @property
    def headers(self) -> dict[str, str]:
        """The form's type and HTTP Basic."""
        pair = base64.b64encode(f"{self.client_id}:{self.secret}".encode()).decode()
        return FORM | {"Authorization": f"Basic {pair}"}


@dataclass(frozen=True)
class Command:
    """How a server is started."""

    argv: list[str]
    env: dict[str, str]
    cwd: Path | None = None


class Peer(ABC):
    """One server: how it is installed, filled and started, and where its endpoints are."""

    name = ""
    note = ""  # what a reader must know to compare
    most_rounds = 99  # who is far behind is not asked as often
    discovery = "/.well-known/openid-configuration"
    scope = "openid profile"
    authorize_path = token_path = introspection_path = userinfo_path = jwks_path = ""

    def __init__(self, folder: Path, stores: Stores) -> None:
        self.folder, self.stores = folder, stores
        self.port = machine.free_port()
        self.server: Server | None = None
        self.web = Machine("bench-web", "bench-web-secret-0123456789")
        self.machines: dict[str, Machine] = {}  # by workload
        self.keyed: Machine | None = None  # the client that signs with KEY, where a server has such
        self._targets: dict[str, tuple[float, Target | None]] = {}
        folder.mkdir(parents=True, exist_ok=True)

    @abstractmethod
    def install(self) -> str:
        """Install what is missing and return the versions. Raises NotInstalled."""

    @abstractmethod
    def prepare(self) -> None:
        """Make its database, its clients and its person. Raises NotInstalled."""

    @abstractmethod
    def command(self) -> Command:
        """Return how it is started."""

    def start(self) -> Server:
        """Start it on its core. Raises machine.NotStarted."""
        how = self.command()
        self.server = machine.start(
            how.argv, port=self.port, ready=self.discovery, log=self.folder / "server.log", env=how.env, cwd=how.cwd
        )
        return self.server

    def turn(self, workload: Workload, seconds: float) -> Round:
        """Let the generator ask for a while. Raises NoSuchThing, NoGenerator, NotSignedIn or an error of httpx."""
        assert self.server is not None
        target = self.target(workload, seconds=seconds + workload.long)
        return load.run(workload, target, self.server, seconds=seconds + workload.long, folder=self.folder)

    @contextmanager
    def signed_in(self) -> Iterator[httpx.Client]:
        """Open a browser in which somebody has signed in and agreed."""
        assert self.server is not None
        with httpx.Client(timeout=60, trust_env=False) as http:
            browser.arrive(http, f"{self.server.url}{self.authorize_path}?{self._query()}")
            yield http

    def target(self, workload: Workload, *, seconds: float) -> Target:
        """Return what the generator sends. Raises NoSuchThing. What is used up by asking is made anew each time."""
        if workload.name == "client_credentials_assertion" and self.keyed is not None:
            bodies = tuple(self._assertion(self.keyed) for _ in range(int(ASSERTIONS_A_SECOND * seconds)))
            return Fixed("POST", self.token_path, FORM, bodies=bodies)
        if workload.name == "refresh":
            return self._refresh(workload.connections)
        made_at, target = self._targets.get(workload.name, (0.0, None))
        if target is None or time.monotonic() > made_at + _TARGET_LASTS_S:
            target = self._lasting(workload)
            self._targets[workload.name] = time.monotonic(), target
        return target

    def _lasting(self, workload: Workload) -> Target:
        documents = {"discovery": self.discovery, "jwks": self.jwks_path}
        if workload.name in documents:
            return Fixed("GET", documents[workload.name])
        if workload.name in self.machines:
            client = self.machines[workload.name]
            return Fixed("POST", self.token_path, client.headers, client.form)
        makers: dict[str, Callable[[], Target]] = {
            "introspection": self._introspection,
            "code_flow": self._code_flow,
            "userinfo": self._userinfo,
        }
        if workload.name not in makers:
            raise NoSuchThing(workload.name)
        return makers[workload.name]()

    def _assertion(self, of: Machine) -> str:
        assert self.server is not None
        now = int(time.time())
        claims = {"iss": of.client_id, "sub": of.client_id, "aud": self.server.url, "iat": now, "exp": now + 240}
        header, body = {"alg": "ES256", "kid": "bench"}, claims | {"jti": secrets.token_urlsafe(16)}
        signed = jws.serialize_compact(header, json.dumps(body), KEY)
        return f"{of.form}&" + urlencode({"client_assertion_type": ASSERTION, "client_assertion": signed})

    # --- inside -------------------------------------------------------------------------------------------------------

    def _query(self) -> str:
        return urlencode(
            {
                "response_type": "code",
                "client_id": self.web.client_id,
                "redirect_uri": REDIRECT_URI,
                "scope": self.scope,
                "state": "s",
                "nonce": "n",
                "code_challenge": CHALLENGE,
                "code_challenge_method": "S256",
            }
        )

    def _tokens(self, http: httpx.Client) -> dict[str, str]:
        assert self.server is not None
        code = browser.arrive(http, f"{self.server.url}{self.authorize_path}?{self._query()}")["code"]
        return self.post(self.web.headers, grant_type="authorization_code", code=code, redirect_uri=REDIRECT_URI,
                         code_verifier=VERIFIER)  # fmt: skip

    def post(self, headers: dict[str, str], **form: str) -> dict[str, str]:
        """Ask the token endpoint for something that must be given."""
        assert self.server is not None
        answer = httpx.post(self.server.url + self.token_path, data=form, headers=headers, timeout=60, trust_env=False)
        answer.raise_for_status()
        return dict(answer.json())

    def _introspection(self) -> Fixed:
        client = self.machines.get("client_credentials_opaque")
        if client is None:
            raise NoSuchThing("introspection")
        token = self.post(client.headers, **dict(parse_qsl(client.form)))["access_token"]
        return Fixed("POST", self.introspection_path, client.headers, urlencode({"token": token}))

    def _refresh(self, count: int) -> Refresh:
        with self.signed_in() as http:
            tokens = tuple(self._tokens(http)["refresh_token"] for _ in range(count))
        return Refresh(self.token_path, self.web.headers, tokens, share=count)

    def _code_flow(self) -> CodeFlow:
        with self.signed_in() as http:
            self._tokens(http)
            cookie = "; ".join(f"{cookie.name}={cookie.value}" for cookie in http.cookies.jar)
        form = urlencode({"grant_type": "authorization_code", "redirect_uri": REDIRECT_URI, "code_verifier": VERIFIER})
        return CodeFlow(f"{self.authorize_path}?{self._query()}", cookie, self.token_path, self.web.headers, form)

    def _userinfo(self) -> Fixed:
        with self.signed_in() as http:
            token = self._tokens(http)["access_token"]
        return Fixed("GET", self.userinfo_path, {"Authorization": f"Bearer {token}"})


def run(*argv: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Run an installer. Raises NotInstalled with what it said last."""
    try:
        done = subprocess.run(
            [str(part) for part in argv], cwd=cwd, capture_output=True, text=True, timeout=600, env=env, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as trouble:
        raise NotInstalled(str(trouble)[:200]) from None
    if done.returncode:
        raise NotInstalled(" ".join((done.stderr or done.stdout).split())[-200:])
    return done.stdout
