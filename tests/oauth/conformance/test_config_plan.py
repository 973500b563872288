"""oidcc-config-certification-test-plan, for a provider as it is installed, and for one that lets old applications in."""

import pytest

from tests.oauth.conformance import checks


@pytest.mark.parametrize("installed", ["provider", "legacy_provider"])
def test_oidcc_discovery_endpoint_verification(installed, request):
    provider = request.getfixturevalue(installed)
    checks.discovery(provider.metadata, provider.issuer)
    checks.key_set(provider.keys())
