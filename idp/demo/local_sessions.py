"""local_sessions — who is signed in *here*: a relying service's own sessions, in its memory.

Not the identity provider's SSO session. The cookie holds a random id and nothing else; tokens never reach the browser.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from flask import Response, g, request
from markupsafe import Markup

IDLE_S = 1800
ABSOLUTE_S = 12 * 3600
MAX_SESSIONS = 5000
MAX_PENDING = 5


@dataclass(frozen=True, kw_only=True)
class SignIn:
    """A sign-in that this browser began and that the provider has not answered yet."""

    state: str
    nonce: str
    code_verifier: str
    return_to: str
    scope: str


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """What the provider gave us for one person, and who that is."""

    access_token: str
    expires_at: float  # epoch seconds
    refresh_token: str | None
    id_token: str
    scope: str
    sub: str
    sid: str | None
    name: str


@dataclass(kw_only=True)
class LocalSession:
    id: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    started_at: float = field(default_factory=time.monotonic)
    seen_at: float = field(default_factory=time.monotonic)
    confirmed_at: float = 0.0  # when the provider last said that the person is still signed in
    pending: dict[str, SignIn] = field(default_factory=dict)
    signing_out: str | None = None  # the state that should come back from the provider's sign-out
    errands: dict[str, str] = field(
        default_factory=dict
    )  # what the person wanted before they were sent to prove themselves
    tokens: Tokens | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)  # one refresh at a time

    def expect(self, sign_in: SignIn) -> None:
        """Remember a begun sign-in; a few tabs may begin one each."""
        with self.lock:
            self.pending[sign_in.state] = sign_in
            while len(self.pending) > MAX_PENDING:
                del self.pending[next(iter(self.pending))]

    def promise(self, what: str) -> str:
        """Remember what a form of ours asked for, under a name that nobody can guess; for one use, after a step up."""
        once = secrets.token_urlsafe(32)
        with self.lock:
            self.errands[once] = what
            while len(self.errands) > MAX_PENDING:
                del self.errands[next(iter(self.errands))]
        return once

    def keep_promise(self, once: str) -> str | None:
        """What was promised under this name, once."""
        with self.lock:
            return self.errands.pop(once, None)

    def take(self, state: str) -> SignIn | None:
        """The sign-in with this state, once."""
        with self.lock:
            return self.pending.pop(state, None)


class LocalSessions:
    """All sessions of one service, oldest first. Safe for threads; lost at a restart, which the SSO session heals."""

    def __init__(self, cookie: str, *, secure: bool) -> None:
        self.cookie = f"__Host-{cookie}" if secure else cookie
        self.secure = secure
        self._sessions: OrderedDict[str, LocalSession] = OrderedDict()
        self._lock = threading.Lock()

    def current(self) -> LocalSession:
        """The session of this browser; a new anonymous one when there is none. The cookie goes out with the answer."""
        found: LocalSession | None = g.get(self.cookie)
        if found is None:
            found = self._find(request.cookies.get(self.cookie, "")) or self._open()
            setattr(g, self.cookie, found)
        return found

    def renew(self, old: LocalSession) -> LocalSession:
        """A new id for a session that gained rights, so that an id planted before the sign-in is worthless."""
        fresh = self._open()
        fresh.pending, fresh.tokens, fresh.confirmed_at = old.pending, old.tokens, old.confirmed_at
        fresh.errands = old.errands
        self.end(old)
        setattr(g, self.cookie, fresh)
        return fresh

    def end(self, session: LocalSession) -> None:
        with self._lock:
            self._sessions.pop(session.id, None)
        g.pop(self.cookie, None)

    def end_where(self, matches: Callable[[Tokens], bool]) -> int:
        """End every signed-in session that matches; how many there were."""
        with self._lock:
            doomed = [s.id for s in self._sessions.values() if s.tokens and matches(s.tokens)]
            for one in doomed:
                del self._sessions[one]
        return len(doomed)

    def send_cookie(self, answer: Response) -> Response:
        """Puts the session's id into the answer; registered with after_request."""
        session: LocalSession | None = g.get(self.cookie)
        if session is not None and request.cookies.get(self.cookie) != session.id:
            answer.set_cookie(self.cookie, session.id, path="/", secure=self.secure, httponly=True, samesite="Lax")
        return answer

    def csrf_field(self) -> Markup:
        """A hidden input for every form that changes something."""
        return Markup('<input type="hidden" name="csrf" value="{}">').format(self.current().csrf)

    def csrf_ok(self) -> bool:
        """Whether the form that was posted is one of ours, shown to this browser."""
        return secrets.compare_digest(request.form.get("csrf", "").encode(), self.current().csrf.encode())

    def _find(self, session_id: str) -> LocalSession | None:
        now = time.monotonic()
        with self._lock:
            session = self._sessions.get(session_id)
            if session is None:
                return None
            if now - session.seen_at > IDLE_S or now - session.started_at > ABSOLUTE_S:
                del self._sessions[session_id]
                return None
            session.seen_at = now
            return session

    def _open(self) -> LocalSession:
        session = LocalSession()
        with self._lock:
            self._sessions[session.id] = session
            while len(self._sessions) > MAX_SESSIONS:
                self._sessions.popitem(last=False)
        return session
