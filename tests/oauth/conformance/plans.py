"""Which modules make up a plan, and with which settings each is run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from tests.oauth.conformance import core_modules as core
from tests.oauth.conformance import logout_modules as logout
from tests.oauth.conformance import registration_modules as registration
from tests.oauth.conformance.suite import Run, Variant

Module = Callable[[Run], None]
Entry = tuple[Module, Variant]

HEAD: tuple[Module, ...] = (core.oidcc_server, core.oidcc_idtoken_signature)
MISSING_TYPE: tuple[Module, ...] = (core.oidcc_response_type_missing,)
USERINFO: tuple[Module, ...] = (
    core.oidcc_userinfo_get,
    core.oidcc_userinfo_post_header,
    core.oidcc_userinfo_post_body,
)
SCOPES: tuple[Module, ...] = (
    core.oidcc_scope_profile,
    core.oidcc_scope_email,
    core.oidcc_scope_address,
    core.oidcc_scope_phone,
    core.oidcc_scope_all,
)
SCOPE_ORDER: tuple[Module, ...] = (core.oidcc_ensure_other_scope_order_succeeds,)
REQUESTS: tuple[Module, ...] = (
    core.oidcc_display_page,
    core.oidcc_display_popup,
    core.oidcc_prompt_login,
    core.oidcc_prompt_none_not_logged_in,
    core.oidcc_prompt_none_logged_in,
    core.oidcc_max_age_1,
    core.oidcc_max_age_10000,
    core.oidcc_ensure_request_with_unknown_parameter_succeeds,
    core.oidcc_id_token_hint,
    core.oidcc_login_hint,
    core.oidcc_ui_locales,
    core.oidcc_claims_locales,
    core.oidcc_ensure_request_with_acr_values_succeeds,
    core.oidcc_ensure_registered_redirect_uri,
)
CODES: tuple[Module, ...] = (core.oidcc_codereuse, core.oidcc_codereuse_30seconds)
REQUEST_OBJECTS: tuple[Module, ...] = (
    core.oidcc_request_uri_unsigned_supported_correctly_or_rejected_as_unsupported,
    core.oidcc_unsigned_request_object_supported_correctly_or_rejected_as_unsupported,
    core.oidcc_claims_essential,
    core.oidcc_ensure_request_object_with_redirect_uri,
)
REFRESH: tuple[Module, ...] = (core.oidcc_refresh_token,)
PKCE: tuple[Module, ...] = (core.oidcc_ensure_request_with_valid_pkce_succeeds,)
NONCE_OPTIONAL: tuple[Module, ...] = (core.oidcc_ensure_request_without_nonce_succeeds_for_code_flow,)
NONCE_REQUIRED: tuple[Module, ...] = (core.oidcc_ensure_request_without_nonce_fails,)
SECRET_POST: tuple[Module, ...] = (core.oidcc_server_client_secret_post,)

RP_INITIATED_LOGOUT: tuple[Module, ...] = (
    logout.oidcc_rp_initiated_logout_discovery_endpoint_verification,
    logout.oidcc_rp_initiated_logout,
    logout.oidcc_rp_initiated_logout_bad_post_logout_redirect_uri,
    logout.oidcc_rp_initiated_logout_modified_id_token_hint,
    logout.oidcc_rp_initiated_logout_no_id_token_hint,
    logout.oidcc_rp_initiated_logout_no_params,
    logout.oidcc_rp_initiated_logout_no_post_logout_redirect_uri,
    logout.oidcc_rp_initiated_logout_no_state,
    logout.oidcc_rp_initiated_logout_only_state,
    logout.oidcc_rp_initiated_logout_query_added_to_post_logout_redirect_uri,
    logout.oidcc_rp_initiated_logout_bad_id_token_hint,
)

DYNAMIC: tuple[Module, ...] = (
    registration.oidcc_idtoken_rs256,
    registration.oidcc_idtoken_unsigned,
    registration.oidcc_userinfo_rs256,
    registration.oidcc_ensure_redirect_uri_in_authorization_request,
    registration.oidcc_redirect_uri_query_ok,
    registration.oidcc_redirect_uri_query_mismatch,
    registration.oidcc_redirect_uri_query_added,
    registration.oidcc_redirect_uri_regfrag,
    registration.oidcc_discovery_endpoint_verification,
    registration.oidcc_server,
    registration.oidcc_registration_logo_uri,
    registration.oidcc_registration_policy_uri,
    registration.oidcc_registration_tos_uri,
    registration.oidcc_server_rotate_keys,
    registration.oidcc_ensure_request_object_with_redirect_uri,
    registration.oidcc_refresh_token,
    registration.oidcc_ensure_client_assertion_with_iss_aud_succeeds,
)
DYNAMIC_WITH_DOCUMENTS = (
    registration.oidcc_registration_jwks_uri,
    registration.oidcc_registration_sector_uri,
    registration.oidcc_registration_sector_bad,
    registration.oidcc_refresh_token_rp_key_rotation,
    registration.oidcc_request_uri_unsigned,
    registration.oidcc_request_uri_signed_rs256,
)


def basic(*, form_post: bool = False) -> list[Any]:
    """The Basic OP plan."""
    modules = (
        *HEAD,
        *MISSING_TYPE,
        core.oidcc_idtoken_unsigned,
        *USERINFO,
        *NONCE_OPTIONAL,
        *SCOPES,
        *SCOPE_ORDER,
        *REQUESTS,
        *CODES,
        core.oidcc_ensure_post_request_succeeds,
        *REQUEST_OBJECTS,
        *REFRESH,
        *PKCE,
    )
    return cases([*_with(Variant(form_post=form_post), modules), *_with(_by_post("code", form_post), SECRET_POST)])


def hybrid(*, form_post: bool = False) -> list[Any]:
    """The Hybrid OP plan: three response types, one after the other."""
    common = (*HEAD, *USERINFO, *SCOPES, *REQUESTS, *CODES, *REQUEST_OBJECTS, *REFRESH)
    entries: list[Entry] = []
    for kind, more in (
        ("code id_token", (*MISSING_TYPE, *NONCE_REQUIRED, *SCOPE_ORDER, *PKCE)),
        ("code token", NONCE_OPTIONAL),
        ("code id_token token", NONCE_REQUIRED),
    ):
        entries += _with(Variant(kind, form_post), (*common, *more))
        entries += _with(_by_post(kind, form_post), SECRET_POST)
    return cases(entries)


def implicit(*, form_post: bool = False) -> list[Any]:
    """The Implicit OP plan: two response types."""
    common = (*HEAD, *NONCE_REQUIRED, *SCOPES, *SCOPE_ORDER, *REQUESTS, *REQUEST_OBJECTS)
    both = Variant("id_token token", form_post)
    alone = _with(Variant("id_token", form_post), common)
    return cases([*alone, *_with(both, (*common, *USERINFO, *MISSING_TYPE))])


def rp_initiated_logout() -> list[Any]:
    """The RP-Initiated Logout OP plan."""
    return cases(_with(Variant(), RP_INITIATED_LOGOUT))


def cases(entries: Iterable[Entry]) -> list[Any]:
    """Parameters of a test, with the suite's names."""
    return [pytest.param(module, variant, id=f"{name_of(module)}[{variant}]") for module, variant in entries]


def names(modules: Iterable[Callable[..., None]]) -> list[Any]:
    """Parameters of a test of modules that are run once."""
    return [pytest.param(module, id=name_of(module)) for module in modules]


def name_of(module: Callable[..., None]) -> str:
    """The name that the suite has for a module."""
    return module.__name__.replace("_", "-")


def _with(variant: Variant, modules: Iterable[Module]) -> list[Entry]:
    return [(module, variant) for module in modules]


def _by_post(response_type: str, form_post: bool) -> Variant:
    return Variant(response_type, form_post, client_auth="client_secret_post")
