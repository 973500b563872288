"""oidcc-frontchannel-rp-initiated-logout-certification-test-plan."""

from tests.oauth.conformance import logout_modules

URI = "https://suite.example.org/test/a/idp/frontchannel_logout"


def test_oidcc_frontchannel_logout_discovery_endpoint_verification(provider, begin):
    logout_modules.oidcc_frontchannel_logout_discovery_endpoint_verification(begin(provider))


def test_oidcc_frontchannel_rp_initiated_logout(provider, begin):
    wishes = {"frontchannel_logout_uri": URI, "frontchannel_logout_session_required": True}
    logout_modules.oidcc_frontchannel_rp_initiated_logout(begin(provider, **wishes), URI)
