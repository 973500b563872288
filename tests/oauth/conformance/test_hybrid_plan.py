"""oidcc-hybrid-certification-test-plan."""

import pytest

from tests.oauth.conformance import plans


@pytest.mark.parametrize(("module", "variant"), plans.hybrid())
def test_module(module, variant, legacy_provider, begin):
    module(begin(legacy_provider, variant))
