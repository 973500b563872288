"""demo — a claims service and a patient service that trust the identity provider, and the runner that shows it all.

The services know the wire and not the code: discovery, authorization code with PKCE, JWKS. They would work
against any other OpenID provider. Only `runner.py` and `page.py` belong to the identity provider's side.
"""
