// A relying party made with openid-client that has no secret: it makes a key, proves itself with it, signs its request and pushes
// it. JSON lines, as relying_party.mjs.
import { createInterface } from "node:readline";
import * as client from "openid-client";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const read = async () => JSON.parse((await lines.next()).value);
const tell = (what) => process.stdout.write(JSON.stringify(what) + "\n");

const settings = await read();
const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"]);
const { kty, crv, x, y } = await crypto.subtle.exportKey("jwk", pair.publicKey);
tell({ jwks: { keys: [{ kty, crv, x, y, kid: "mine", use: "sig", alg: "ES256" }] } });

const { client_id } = await read();
const key = { key: pair.privateKey, kid: "mine" };
const config = await client.discovery(
  new URL(settings.issuer),
  client_id,
  { id_token_signed_response_alg: "ES256" },
  client.PrivateKeyJwt(key),
  { execute: [client.allowInsecureRequests] },
);
const verifier = client.randomPKCECodeVerifier();
const state = client.randomState();
const nonce = client.randomNonce();
const wanted = {
  redirect_uri: settings.redirect_uri,
  scope: "openid profile offline_access",
  code_challenge: await client.calculatePKCECodeChallenge(verifier),
  code_challenge_method: "S256",
  state,
  nonce,
};
const signed = await client.buildAuthorizationUrlWithJAR(config, wanted, key);
const pushed = await client.buildAuthorizationUrlWithPAR(config, signed.searchParams);
tell({ visit: pushed.href });

const { came_back_to: callback } = await read();
const tokens = await client.authorizationCodeGrant(config, new URL(callback), {
  pkceCodeVerifier: verifier,
  expectedState: state,
  expectedNonce: nonce,
  idTokenExpected: true,
});
const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token);
const before = await client.tokenIntrospection(config, refreshed.access_token);
await client.tokenRevocation(config, refreshed.refresh_token);
const after = await client.tokenIntrospection(config, refreshed.access_token);
tell({ claims: tokens.claims(), before: before.active, after: after.active });
process.exit(0);
