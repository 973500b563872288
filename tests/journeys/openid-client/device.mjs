// A device made with openid-client: it registers itself, shows a code, waits, and tells what it was given. JSON lines, as
// relying_party.mjs.
import { createInterface } from "node:readline";
import * as client from "openid-client";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const read = async () => JSON.parse((await lines.next()).value);
const tell = (what) => process.stdout.write(JSON.stringify(what) + "\n");

const settings = await read();
const config = await client.dynamicClientRegistration(
  new URL(settings.issuer),
  {
    client_name: "Ward Screen",
    grant_types: ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"],
    response_types: [],
    token_endpoint_auth_method: "client_secret_post",
    redirect_uris: [],
  },
  undefined,
  { initialAccessToken: settings.initial_access_token, execute: [client.allowInsecureRequests] },
);
const started = await client.initiateDeviceAuthorization(config, { scope: "openid profile offline_access" });
tell({ client_id: config.clientMetadata().client_id, ...started });
await read();
const tokens = await client.pollDeviceAuthorizationGrant(config, started);
const userinfo = await client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub);
const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token);
tell({ claims: tokens.claims(), userinfo, rotated: refreshed.refresh_token !== tokens.refresh_token });
process.exit(0);
