"""The one Authlib server: the chassis under the token endpoint.

Authlib finds the grant, calls its steps in order and turns errors into answers. What it does by default and we do not want:
its Flask request object builds `request.url` and merges query and body; its grants write tokens into the debug log and save them
after the fact; its error for an unknown grant repeats what was sent. All that is replaced here and in grants/.
"""

from __future__ import annotations

from typing import Any

import orjson
from authlib.oauth2 import AuthorizationServer, OAuth2Error, OAuth2Request
from authlib.oauth2.rfc6749 import InvalidClientError, InvalidRequestError
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload

from idp import audit, clients, web
from idp.clients import Client
from idp.oauth import client_auth, client_certificate, params, refusals, reuse, tokens
from idp.oauth.errors import CodeReplayed, RefreshTokenReused, TooManyFailures
from idp.oauth.grants import GRANTS
from idp.oauth.params import Params
from idp.web import Answer

NO_STORE = (("Cache-Control", "no-store"), ("Pragma", "no-cache"))


class TokenRequest(OAuth2Request):  # type: ignore[misc]
    """What grants know of a request: the form and the headers. The base class's constructor wants a URL; nobody here does."""

    def __init__(self, sent: Params) -> None:
        self.method = "POST"
        self.uri = ""
        self.headers: dict[str, str] = {}  # grants ask `sent`; nobody here asks Authlib's way
        self.sent = sent
        self.payload = BasicOAuth2Payload(sent.one)
        self.client: Client | None = None
        self.auth_method = self.user = None
        self.authorization_code = self.refresh_token = self.credential = None
        self._scope = self._body = None

    @property
    def form(self) -> Any:
        """The parameters, each once."""
        return self.sent.one


class Server(AuthorizationServer):  # type: ignore[misc]
    """Authlib's server with our clients, our client authentication and our errors."""

    def __init__(self) -> None:
        super().__init__()
        self._grants = {grant.GRANT_TYPE: grant for grant in GRANTS}

    def query_client(self, client_id: str) -> Client | None:
        """Return a registered client."""
        return clients.find(client_id)

    def create_oauth2_request(self, request: Params) -> TokenRequest:
        """Wrap parameters that were read already."""
        return TokenRequest(request)

    def authenticate_client(self, request: TokenRequest, methods: Any, endpoint: str = "token") -> Client:
        """Prove who sent the request."""
        client = client_auth.authenticate(request.sent, web.call().header("AUTHORIZATION"))
        request.client = client
        client_certificate.insist(client)
        return client

    def get_token_grant(self, request: TokenRequest) -> Any:
        """Return the grant that `grant_type` names. Raises OAuth2Error; never repeats what was sent."""
        wanted = request.sent.get("grant_type")
        if not wanted:
            raise InvalidRequestError("grant_type is missing.")
        if wanted not in self._grants:
            raise OAuth2Error("grant_type is none that this server supports.", error="unsupported_grant_type")
        return self._grants[wanted](request, self)

    def validate_requested_scope(self, scope: str | None) -> None:
        """Scopes are judged with their resources, in resources.py."""

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens: what happened is in the audit."""

    def handle_response(self, status: int, body: Any, headers: Any) -> Answer:
        """Send JSON that no cache keeps (O-24)."""
        return answer(body, status=status, headers=headers)

    def answer_token_request(self) -> Answer:
        """POST /token (RFC 6749 section 3.2)."""
        sent = Params({})
        try:
            sent = params.of_form()
            token_request = self.create_oauth2_request(sent)
            grant = self.get_token_grant(token_request)
            grant.validate_token_request()
            return self.handle_response(*grant.create_token_response())
        except OAuth2Error as error:
            return refuse(error, sent)


def refuse(error: OAuth2Error, sent: Params) -> Answer:
    """Answer an error (RFC 6749 section 5.2) and write it down. The refusal is a fact: what it revokes stays revoked."""
    if isinstance(error, CodeReplayed):
        tokens.revoke_family(error.family_id, because=str(error.event))
        audit.record(error.event, client_id=_client_id(sent), family=error.family_id)
    if isinstance(error, RefreshTokenReused):
        reuse.stop(error.family_id)
    if not isinstance(error, InvalidClientError | TooManyFailures):  # client_auth and limits wrote those down
        told = f"{error.error}: {error.get_error_description()}"
        verdict = refusals.record(
            audit.Event.TOKEN_REFUSED, client_id=_client_id(sent), reason=told, path=web.call().path
        )
        if not verdict.allowed:
            error = TooManyFailures(verdict.retry_after_s)
    description = f"{error.get_error_description()} (reference {web.context().request_id})"
    body = {"error": error.error, "error_description": description}
    return answer(body, status=error.status_code or 400, headers=_headers(error))


def _headers(error: OAuth2Error) -> list[tuple[str, str]]:
    if isinstance(error, TooManyFailures):
        return [("Retry-After", str(error.retry_after_s))]
    return [("WWW-Authenticate", 'Basic realm="idp"')] if error.status_code == 401 else []


def answer(body: Any, *, status: int = 200, headers: Any = ()) -> Answer:
    """Build a JSON answer that nobody stores."""
    return Answer(orjson.dumps(body), status, [("Content-Type", "application/json"), *headers, *NO_STORE])


def jwt_answer(raw_jwt: str, media_type: str) -> Answer:
    """Build an answer that is one JWT and that nobody stores."""
    return Answer(raw_jwt.encode(), 200, [("Content-Type", media_type), *NO_STORE])


def _client_id(sent: Params) -> str | None:
    """The client as far as the request tells: good enough for a search in the audit, never for a decision."""
    return refusals.named(sent.get("client_id") or client_auth.named_in_header(web.call().header("AUTHORIZATION")))
