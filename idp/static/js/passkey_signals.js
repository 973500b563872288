// Tell the authenticators of somebody who is signed in which of their passkeys still count, and how they are called now
// (WebAuthn section 5.1.10). Browsers that cannot do this ignore it.
"use strict";

const kept = document.querySelector("[data-passkey-signals]");

async function signal(name, facts) {
  try {
    await window.PublicKeyCredential?.[name]?.(facts);
  } catch { /* the authenticator keeps what it has; signing in does not depend on it */ }
}

if (kept) {
  const { rpId, userId, name, displayName, accepted, removed } = JSON.parse(kept.dataset.passkeySignals);
  for (const credentialId of removed) signal("signalUnknownCredential", { rpId, credentialId });
  signal("signalAllAcceptedCredentials", { rpId, userId, allAcceptedCredentialIds: accepted });
  signal("signalCurrentUserDetails", { rpId, userId, name, displayName });
}
