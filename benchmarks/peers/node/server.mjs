// node-oidc-provider with the features that are compared: ES256, JWT and opaque tokens, introspection, rotation, sessions in Redis.
import { generateKeyPairSync } from "node:crypto";
import Provider from "oidc-provider";
import { Adapter } from "./adapter.mjs";

const port = Number(process.env.BENCH_PORT);

function key(type, options, alg) {
  const jwk = generateKeyPairSync(type, options).privateKey.export({ format: "jwk" });
  return { ...jwk, use: "sig", alg, kid: alg };
}

const provider = new Provider(`http://127.0.0.1:${port}`, {
  adapter: Adapter,
  clients: JSON.parse(process.env.BENCH_CLIENTS),
  cookies: { keys: ["benchmarks-benchmarks"] },
  jwks: { keys: [key("ec", { namedCurve: "P-256" }, "ES256"), key("rsa", { modulusLength: 2048 }, "RS256")] },
  scopes: ["openid", "profile", "offline_access", "jwt.read", "opaque.read"],
  features: {
    devInteractions: { enabled: true },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      getResourceServerInfo: () => ({
        scope: "jwt.read",
        accessTokenFormat: "jwt",
        accessTokenTTL: 600,
        jwt: { sign: { alg: "ES256" } },
      }),
    },
  },
  rotateRefreshToken: true,
  issueRefreshToken: async (ctx, client) => client.grantTypeAllowed("refresh_token"),
  findAccount: async (ctx, id) => ({ accountId: id, claims: async () => ({ sub: id, name: "Bench Mark" }) }),
  ttl: { AccessToken: 600, ClientCredentials: 600, IdToken: 300, RefreshToken: 43200, Session: 43200, Grant: 43200, Interaction: 600 },
});
provider.listen(port, "127.0.0.1");
