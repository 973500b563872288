"""`idp client` — the applications that rely on us."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TextIO

import click

from idp import clients
from idp.cli import registration
from idp.cli.base import State, actor, confirm, takes_state, yes_option
from idp.cli.failures import Failure, Group
from idp.cli.output import facts, plain, table
from idp.config import settings

_KEEP = "Write the secret down now: nobody can read it again, only `idp client rotate-secret` makes another."
_FIRST = ("client_id", "client_secret", "discovery")  # what an application needs, before everything that was registered
_COLUMNS = ("client_id", "client_name", "application_type", "grant_types", "first_party")
_DELIVERIES = ("created_at", "client_id", "sid", "cause", "outcome", "attempts", "next_attempt_at", "last_error")


@click.group("client", cls=Group)
def group() -> None:
    """Register and manage relying applications."""


group.add_command(registration.group)


@group.command("create")
@click.option("--name", "client_name", help="What people read on the consent page.")
@click.option("--redirect-uri", "redirect_uris", multiple=True, help="Where answers go, exactly. Several: repeat it.")
@click.option("--post-logout-redirect-uri", "post_logout_redirect_uris", multiple=True, help="Where sign-out may lead.")
@click.option("--backchannel-logout-uri", help="Is told by the server when a session ends.")
@click.option("--frontchannel-logout-uri", help="Is opened in the person's browser when they sign out.")
@click.option("--scope", help='What it may ask for: "openid profile email claims.read".')
@click.option("--resource", "resources", multiple=True, help="Protected resource that it may have tokens for.")
@click.option("--grant-type", "grant_types", multiple=True, help="authorization_code by default; repeat for several.")
@click.option("--type", "application_type", type=click.Choice(["web", "native"]), help="web by default.")
@click.option(
    "--auth-method", "token_endpoint_auth_method", help="client_secret_basic by default; none for public clients."
)
@click.option("--jwks", type=click.File("r", encoding="utf-8"), help="Its public keys: a JWK Set in a file.")
@click.option("--jwks-uri", help="Where it publishes its public keys, for private_key_jwt and request objects.")
@click.option("--signing-alg", "token_endpoint_auth_signing_alg", help="The only algorithm of its assertions.")
@click.option(
    "--tls-subject-dn",
    "tls_client_auth_subject_dn",
    help='tls_client_auth: the subject of its certificate, "CN=gateway,O=Clinic".',
)
@click.option("--tls-san-dns", "tls_client_auth_san_dns", help="tls_client_auth: the host that its certificate is for.")
@click.option("--tls-san-uri", "tls_client_auth_san_uri", help="tls_client_auth: the URI that its certificate is for.")
@click.option(
    "--tls-san-ip", "tls_client_auth_san_ip", help="tls_client_auth: the address that its certificate is for."
)
@click.option(
    "--tls-san-email", "tls_client_auth_san_email", help="tls_client_auth: the mailbox that its certificate is for."
)
@click.option("--bound-tokens", "tls_client_certificate_bound_access_tokens", is_flag=True, default=None,
              help="Its tokens are good with its certificate only (RFC 8705).")  # fmt: skip
@click.option("--require-par", "require_pushed_authorization_requests", is_flag=True, default=None,
              help="It must push its authorization requests (RFC 9126).")  # fmt: skip
@click.option("--profile", "security_profile", help="Security profile, oidc by default.")
@click.option("--id-token-alg", "id_token_signed_response_alg", help="RS256 by default; ES256 with --first-party.")
@click.option("--userinfo-alg", "userinfo_signed_response_alg", help="Sign UserInfo with this; plain JSON by default.")
@click.option("--pairwise", "subject_type", flag_value="pairwise", default=None,
              help="It knows people by names that no other sector knows.")  # fmt: skip
@click.option("--sector-identifier-uri", help="The document that lists the redirect URIs of its sector.")
@click.option("--first-party", is_flag=True, default=None, help="Ours: people are not asked for consent.")
@click.option("--client-id", help="A fixed id instead of a generated one.")
@click.option(
    "--from-json",
    type=click.File("r", encoding="utf-8"),
    help="Metadata of RFC 7591 from a file, or - for standard input.",
)
@takes_state
def create(state: State, from_json: TextIO | None, jwks: TextIO | None, client_id: str | None, **given: Any) -> None:
    """Register an application. Options win over --from-json. The secret is shown once."""
    metadata = _from_json(from_json) if from_json else {}
    metadata |= {"jwks": _from_json(jwks)} if jwks else {}
    metadata |= {name: list(value) if isinstance(value, tuple) else value for name, value in given.items() if value}
    client_id = client_id or _text(metadata.pop("client_id", None), "client_id")
    secret = _text(metadata.pop("client_secret", None), "client_secret")
    with state.work():
        client, raw_secret = clients.create(metadata, client_id=client_id, secret=secret, actor=actor())
        answer = _as_dict(client)
        unknown = _unknown_scopes(client.scope)
        answer["discovery"] = f"{settings().server.issuer}/.well-known/openid-configuration"
    if raw_secret:
        answer["client_secret"] = raw_secret
    state.show(answer, lambda: _introduce(answer))
    if unknown:
        click.secho(
            f"No resource of the settings has these scopes, so no token will hold them: {unknown}.",
            fg="yellow",
            err=True,
        )


def _unknown_scopes(scope: str) -> str:
    from idp import oauth

    known = oauth.resources.scopes_supported()
    return " ".join(name for name in scope.split() if name not in known)


def _from_json(file: TextIO) -> dict[str, Any]:
    try:
        found = json.load(file)
    except ValueError as error:
        raise Failure(f"That is not JSON: {error}. Expected an object with client metadata (RFC 7591).") from None
    if not isinstance(found, dict):
        raise Failure("Expected one JSON object with client metadata (RFC 7591).")
    return found


def _text(value: Any, name: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise Failure(f"{name} must be text.")
    return value


def _introduce(answer: Mapping[str, Any]) -> None:
    """Say first what goes into the application's settings, then the rest, then what comes next."""
    facts({name: answer[name] for name in _FIRST if name in answer})
    if "client_secret" in answer:
        click.secho(_KEEP, fg="yellow", err=True)
    rest = {name: value for name, value in answer.items() if name not in _FIRST and value not in (None, "", [])}
    if rest:
        click.echo()
        facts(rest)
    if "discovery" in answer:
        click.echo(f"\n{_next(answer)}")


def _next(answer: Mapping[str, Any]) -> str:
    needs = "the client id, the secret and" if "client_secret" in answer else "the client id and"
    where = f"; its address for answers is {answer['redirect_uris'][0]}, exactly" if answer.get("redirect_uris") else ""
    return f"Next: put {needs} the discovery address into the application{where}. docs/relying-apps.md has settings that were tried."


@group.command("list")
@click.argument("text", default="")
@click.option("--limit", type=click.IntRange(1, 500), default=100, show_default=True, help="How many.")
@click.option("--offset", type=click.IntRange(0), default=0, help="Leave out so many.")
@takes_state
def list_(state: State, text: str, limit: int, offset: int) -> None:
    """List applications; TEXT is a part of the name or id."""
    with state.reading():
        page = clients.search(text, limit=limit, offset=offset)
    rows = [_as_dict(client) for client in page.clients]

    def human() -> None:
        table(rows, _COLUMNS, empty="No application is registered. `idp client create --help` says how.")
        if page.total > len(rows):
            click.echo(f"{len(rows)} of {page.total}; more with --offset {offset + limit}.")

    state.show({"clients": rows, "total": page.total}, human)


@group.command("show")
@click.argument("client_id")
@takes_state
def show(state: State, client_id: str) -> None:
    """Show one application. Secrets are never shown; only when they end."""
    with state.reading():
        client = clients.get(client_id)
    answer = _as_dict(client)
    state.show(answer, lambda: facts({name: value for name, value in answer.items() if value not in (None, "", [])}))


@group.command("rotate-secret")
@click.argument("client_id")
@click.option("--overlap", "overlap_s", type=click.IntRange(0, 30 * 86400), default=86400, show_default=True,
              help="Seconds that the present secret still works.")  # fmt: skip
@yes_option
@takes_state
def rotate_secret(state: State, client_id: str, overlap_s: int, yes: bool) -> None:
    """Give an application a new secret and show it once."""
    confirm(f"Make a new secret for {client_id}? The present one works for {overlap_s} more seconds.", yes=yes)
    with state.work():
        raw_secret = clients.rotate_secret(client_id, overlap_s=overlap_s, actor=actor())
    answer = {"client_id": client_id, "client_secret": raw_secret, "old_secret_ends_in_s": overlap_s}
    state.show(answer, lambda: _introduce(answer))


@group.command("delete")
@click.argument("client_id")
@yes_option
@takes_state
def delete(state: State, client_id: str, yes: bool) -> None:
    """Remove an application; its tokens stop working at once."""
    with state.reading():
        name = clients.get(client_id).client_name
    confirm(f"Delete {client_id} ({name})? Its tokens stop working at once.", yes=yes)
    with state.work():
        clients.delete(client_id, actor=actor())
    state.show({"client_id": client_id, "deleted": True}, lambda: click.echo(f"{client_id} is deleted."))


@group.command("deliveries")
@click.argument("client_id", required=False)
@click.option("--outcome", type=click.Choice(["waiting", "delivered", "failed"]), help="Only these.")
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many, the newest first."
)
@takes_state
def deliveries(state: State, client_id: str | None, outcome: str | None, limit: int) -> None:
    """Show how applications were told of sessions that ended (back-channel logout); of the last week, or still waiting."""
    from idp import oauth

    with state.reading():
        found = [plain(one) for one in oauth.backchannel.search(client_id=client_id, outcome=outcome, limit=limit)]
    for one in found:
        one["next_attempt_at"] = one["next_attempt_at"] if one["outcome"] == "waiting" else None
    state.show(
        {"deliveries": found}, lambda: table(found, _DELIVERIES, empty="No application was to be told of anything.")
    )


def _as_dict(client: clients.Client) -> dict[str, Any]:
    shown: dict[str, Any] = plain(client.metadata())
    shown = {"client_id": client.client_id} | shown
    if client.secrets:
        shown["secrets"] = [{"ends_at": plain(secret.expires_at)} for secret in client.secrets]
    return shown | {"created_at": plain(client.created_at), "updated_at": plain(client.updated_at)}
