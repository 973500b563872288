"""oidcc-dynamic-certification-test-plan. It needs three settings that are off: what they open is said in docs/decisions.md (X-4)."""

import pytest

from tests.oauth.conformance import plans, registration_modules
from tests.oauth.conformance.suite import Variant
from tests.oauth.signing import publishing

VARIANT = Variant(client_auth="private_key_jwt")


@pytest.fixture
def published():
    with publishing() as site:
        yield site


@pytest.mark.parametrize("module", plans.names(plans.DYNAMIC))
def test_module(module, dynamic_provider, begin):
    run = begin(dynamic_provider, VARIANT, client=False)
    module(run)
    registration_modules.unregister_all(run)


@pytest.mark.parametrize("module", plans.names(plans.DYNAMIC_WITH_DOCUMENTS))
def test_module_with_a_document_of_the_client(module, dynamic_provider, begin, published):
    run = begin(dynamic_provider, VARIANT, client=False)
    module(run, published)
    registration_modules.unregister_all(run)
