// A store in Redis for node-oidc-provider: one JSON text a record, and the lists that a grant's revocation needs.
// One round trip a call, wherever the interface allows it.
import Redis from "ioredis";

const redis = new Redis({ path: process.env.BENCH_REDIS_SOCKET, keyPrefix: "node:" });
const GROUPED = new Set(["AccessToken", "AuthorizationCode", "RefreshToken", "DeviceCode", "BackchannelAuthenticationRequest"]);
const CONSUMED = new Set(["AuthorizationCode", "RefreshToken", "DeviceCode", "BackchannelAuthenticationRequest"]);

export class Adapter {
  constructor(model) {
    this.model = model;
  }

  key(id) {
    return `${this.model}:${id}`;
  }

  async upsert(id, payload, expiresIn) {
    const key = this.key(id);
    const batch = redis.multi();
    const life = expiresIn ? ["EX", expiresIn] : [];
    batch.set(key, JSON.stringify(payload), ...life);
    if (GROUPED.has(this.model) && payload.grantId) {
      batch.rpush(`grant:${payload.grantId}`, key);
      if (expiresIn) batch.expire(`grant:${payload.grantId}`, Math.max(expiresIn, 86400));
    }
    if (payload.userCode) batch.set(`userCode:${payload.userCode}`, id, ...life);
    if (payload.uid) batch.set(`uid:${payload.uid}`, id, ...life);
    await batch.exec();
  }

  async find(id) {
    if (!CONSUMED.has(this.model)) {
      const text = await redis.get(this.key(id));
      return text ? JSON.parse(text) : undefined;
    }
    const [text, consumed] = await redis.mget(this.key(id), `${this.key(id)}:consumed`);
    if (!text) return undefined;
    return consumed ? { ...JSON.parse(text), consumed: Number(consumed) } : JSON.parse(text);
  }

  async findByUid(uid) {
    const id = await redis.get(`uid:${uid}`);
    return id ? this.find(id) : undefined;
  }

  async findByUserCode(userCode) {
    const id = await redis.get(`userCode:${userCode}`);
    return id ? this.find(id) : undefined;
  }

  async consume(id) {
    await redis.set(`${this.key(id)}:consumed`, Math.floor(Date.now() / 1000), "EX", 86400);
  }

  async destroy(id) {
    await redis.del(this.key(id), `${this.key(id)}:consumed`);
  }

  async revokeByGrantId(grantId) {
    const members = await redis.lrange(`grant:${grantId}`, 0, -1);
    await redis.del(`grant:${grantId}`, ...members);
  }
}
