"""oidcc-dynamic-certification-test-plan, but for its two modules about request_uri: we fetch no request from strangers."""

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
def test_module(module, legacy_provider, begin):
    run = begin(legacy_provider, VARIANT, client=False)
    module(run)
    registration_modules.unregister_all(run)


@pytest.mark.parametrize("module", plans.names(plans.DYNAMIC_WITH_DOCUMENTS))
def test_module_with_a_document_of_the_client(module, legacy_provider, begin, published):
    run = begin(legacy_provider, VARIANT, client=False)
    module(run, published)
    registration_modules.unregister_all(run)
