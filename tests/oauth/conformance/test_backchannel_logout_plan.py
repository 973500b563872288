"""oidcc-backchannel-rp-initiated-logout-certification-test-plan."""

import pytest

from idp.oauth import backchannel
from tests.oauth.conformance import logout_modules
from tests.oauth.receiver import listening


def test_oidcc_backchannel_logout_discovery_endpoint_verification(provider, begin):
    logout_modules.oidcc_backchannel_logout_discovery_endpoint_verification(begin(provider))


@pytest.fixture
def receiver():
    with listening() as one:
        yield one


def test_oidcc_backchannel_rp_initiated_logout(provider, begin, receiver):
    wishes = {"backchannel_logout_uri": receiver.uri, "backchannel_logout_session_required": True}

    def deliver():
        with provider.app.app_context():
            assert backchannel.deliver_pending() == 1

    logout_modules.oidcc_backchannel_rp_initiated_logout(begin(provider, **wishes), receiver, deliver)
