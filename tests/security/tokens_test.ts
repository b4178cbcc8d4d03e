/** Tokens of agents: they end, they are of one use, and the key that signs them can be changed while agents are served. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import * as jose from "jose";
import { call, dialPeer } from "../../src/adapters/grpc/dial.ts";
import { authenticationService } from "../../src/adapters/grpc/services.ts";
import { OVERLAP_MS, SignedTokens } from "../../src/adapters/grpc/tokens.ts";
import type { Running } from "../../src/serve.ts";
import { certificateFor, startAgent, untilServed } from "../support/agents.ts";
import { inWorkshop, LOOSE, until, untilState } from "../support/principals.ts";

const SUBJECT = { clientID: "edge-1", mode: "managed", credential: "" } as const;
const ACCESS = "argocd-agent-server-access";
const REFRESH = "argocd-agent-server-refresh";

async function key() {
  const { privateKey, publicKey } = await jose.generateKeyPair("RS512", { extractable: true });
  return { pem: await jose.exportPKCS8(privateKey), sign: privateKey, verify: publicKey };
}

/** Why it rejects; empty: it does not. */
function refusal(act: () => Promise<unknown>): Promise<string> {
  return act().then(() => "", (error) => String(error) || "an error");
}

Deno.test("a token without an end, or with a later one than is ever given, is refused, whoever signed it", async () => {
  const { pem, sign } = await key();
  const tokens = await SignedTokens.fromPem(pem);
  const nowS = Math.floor(Date.now() / 1_000);
  const token = (audience: string, claims: { iat?: number; exp?: number }) =>
    new jose.SignJWT({ sub: JSON.stringify(SUBJECT), ...claims })
      .setProtectedHeader({ alg: "RS512" }).setIssuer("argocd-agent-server").setAudience([audience]).sign(
        sign,
      );
  const access = async (claims: { iat?: number; exp?: number }) =>
    await tokens.verifyAccess(await token(ACCESS, claims)).then(({ clientID }) => clientID);
  const refresh = async (claims: { iat?: number; exp?: number }) =>
    await tokens.verifyRefresh(await token(REFRESH, claims)).then(({ subject }) => subject.clientID);
  assertEquals(await access({ iat: nowS, exp: nowS + 60 }), "edge-1");
  assertEquals(await refresh({ iat: nowS, exp: nowS + 60 }), "edge-1");
  for (const verify of [access, refresh]) {
    assertStringIncludes(await refusal(() => verify({ iat: nowS })), '"exp"');
    assertStringIncludes(await refusal(() => verify({ exp: nowS + 60 })), '"iat"');
    assertStringIncludes(await refusal(() => verify({ iat: nowS - 60, exp: nowS - 1 })), '"exp"');
    const old = nowS - 90_000;
    assertStringIncludes(await refusal(() => verify({ iat: old, exp: nowS + 86_400 })), '"iat"');
    assertStringIncludes(await refusal(() => verify({ iat: nowS + 86_400, exp: nowS + 90_000 })), '"iat"');
  }
  const crossed = await tokens.access(SUBJECT);
  assertStringIncludes(await refusal(() => tokens.verifyRefresh(crossed)), '"aud"');
  assertStringIncludes(await refusal(() => tokens.verifyResourceProxy(crossed)), '"aud"');
});

Deno.test("a rotated key signs at once, the one before is good for the overlap only, and one that is unreadable changes nothing", async () => {
  const [first, second, third] = [await key(), await key(), await key()];
  let nowMs = Date.now();
  const tokens = await SignedTokens.fromPem(first.pem, () => nowMs);
  const refresh = await tokens.refresh(SUBJECT);
  const cluster = await tokens.resourceProxy("edge-1");
  await tokens.rotate(second.pem);
  const later = await tokens.refresh(SUBJECT);
  assert(await refusal(() => tokens.rotate("no key")) !== "");
  assertEquals((await tokens.verifyRefresh(refresh)).subject, SUBJECT);
  assertEquals((await tokens.verifyRefresh(later)).subject, SUBJECT);
  assertStringIncludes(await refusal(() => tokens.verifyResourceProxy(cluster)), "signature");
  nowMs += OVERLAP_MS / 2;
  await tokens.rotate(third.pem);
  assertEquals((await tokens.verifyRefresh(refresh)).subject, SUBJECT);
  nowMs += OVERLAP_MS / 2 + 1;
  assertStringIncludes(await refusal(() => tokens.verifyRefresh(refresh)), "signature");
  assertEquals((await tokens.verifyRefresh(later)).subject, SUBJECT);
  nowMs += OVERLAP_MS;
  assertStringIncludes(await refusal(() => tokens.verifyRefresh(later)), "signature");
});

Deno.test(
  "the key in a file is changed while agents are served: their streams stay, and both sides go on with the new key",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const file = `${workshop.dir}/jwt.key`;
      const [first, second] = [await key(), await key()];
      Deno.writeTextFileSync(file, first.pem);
      const flags = [`--jwt-key=${file}`];
      const primary = await workshop.start(workshop.settings("primary", 0, flags));
      const replica = await workshop.start(workshop.settings("replica", primary.ports.grpc, flags));
      await untilState(primary, "active");
      await untilState(replica, "replicating");
      const agent = await startAgent(workshop, primary, { name: "edge-1" });
      await untilServed(primary, agent);
      const { refreshToken = "" } = agent.connection ?? {};
      const material = await certificateFor(`${workshop.dir}/pki`, "edge-1");
      const refreshed = ({ ports }: Running, token: string) => {
        const client = dialPeer(`127.0.0.1:${ports.grpc}`, material, 1 << 20);
        return call(client, authenticationService.RefreshToken, { refreshToken: token }, 5_000)
          .then(({ accessToken = "" }) => accessToken).finally(() => client.close());
      };
      const changed = () => workshop.logs.filter((line) => line.includes("signed with another key")).length;
      Deno.writeTextFileSync(file, "-----BEGIN PRIVATE KEY-----\nhalf");
      await until(
        () => workshop.logs.filter((line) => line.includes("keeping the last good one")).length === 2,
        20_000,
        () => "an unreadable key is not reported on both sides",
      );
      Deno.writeTextFileSync(file, second.pem);
      await until(() => changed() === 2, 20_000, () => "the key is not reread on both sides");
      const access = await refreshed(primary, refreshToken);
      const { payload } = await jose.jwtVerify(access, second.verify);
      assertStringIncludes(String(payload.sub), "edge-1");
      // The replica had the key before too: it is good there for the same overlap.
      const taken = await refreshed(replica, refreshToken);
      assertEquals((await jose.jwtVerify(taken, second.verify)).payload.sub, payload.sub);
      assertEquals(agent.seen.ends, []);
    }),
);
