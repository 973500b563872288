// A relying party made with openid-client. It speaks JSON lines with the test that starts it: it prints the address that a
// person must visit, reads the address that the browser came back to, and prints what the provider gave it.
import { createInterface } from "node:readline";
import * as client from "openid-client";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const read = async () => JSON.parse((await lines.next()).value);
const tell = (what) => process.stdout.write(JSON.stringify(what) + "\n");

const settings = await read();
const methods = {
  client_secret_basic: client.ClientSecretBasic,
  client_secret_post: client.ClientSecretPost,
  client_secret_jwt: client.ClientSecretJwt,
};
const config = await client.discovery(
  new URL(settings.issuer),
  settings.client_id,
  { id_token_signed_response_alg: settings.id_token_signed_response_alg },
  methods[settings.auth_method](settings.client_secret),
  { execute: [client.allowInsecureRequests] },
);

const verifier = client.randomPKCECodeVerifier();
const state = client.randomState();
const nonce = client.randomNonce();
tell({
  visit: client.buildAuthorizationUrl(config, {
    redirect_uri: settings.redirect_uri,
    scope: settings.scope,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    state,
    nonce,
    max_age: "3600",
    ...(settings.resource ? { resource: settings.resource } : {}),
  }).href,
});

const { came_back_to: callback } = await read();
const tokens = await client.authorizationCodeGrant(config, new URL(callback), {
  pkceCodeVerifier: verifier,
  expectedState: state,
  expectedNonce: nonce,
  maxAge: 3600,
  idTokenExpected: true,
});
const claims = tokens.claims();
const userinfo = await client.fetchUserInfo(config, tokens.access_token, claims.sub);
const refreshed = tokens.refresh_token ? await client.refreshTokenGrant(config, tokens.refresh_token) : null;
const machine = settings.machine_scope
  ? await client.clientCredentialsGrant(config, { scope: settings.machine_scope, resource: settings.machine_resource })
  : null;
tell({
  claims,
  userinfo,
  scope: tokens.scope,
  refreshed: refreshed && { sub: refreshed.claims()?.sub, rotated: refreshed.refresh_token !== tokens.refresh_token },
  machine: machine && { token_type: machine.token_type, scope: machine.scope },
  sign_out: client.buildEndSessionUrl(config, {
    post_logout_redirect_uri: settings.post_logout_redirect_uri,
    id_token_hint: tokens.id_token,
    state: "bye",
  }).href,
});
process.exit(0);
