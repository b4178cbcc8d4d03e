/** `--ha-admin-listen`: who may ask, who may change, and that every change says who made it. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Authority } from "../../src/adapters/tls/pki.ts";
import type { Running } from "../../src/serve.ts";
import { parseSettings } from "../../src/config/settings.ts";
import { runCli } from "../support/processes.ts";
import { inWorkshop, LOOSE, untilEqual, untilState, type Workshop } from "../support/principals.ts";
import { operatorService } from "../../src/adapters/grpc/services.ts";
import { call, dialPeer } from "../../src/adapters/grpc/dial.ts";
import { material } from "../support/principals.ts";

/** A pair with a second admin listener at each side, and certificates of people in the workshop's folder. */
async function pairOf(workshop: Workshop) {
  const { dir } = workshop;
  const read = (name: string) => Deno.readTextFileSync(`${dir}/pki/${name}`);
  const authority = await Authority.load({ cert: read("ca.crt"), key: read("ca.key") }, 1);
  const stranger = await Authority.create(1);
  for (const [name, by] of [["reader", authority], ["operator", authority], ["forged", stranger]] as const) {
    const commonName = name === "forged" ? "operator" : name;
    const { cert, key } = await by.issue({ commonName, sans: [], server: false });
    Deno.writeTextFileSync(`${dir}/pki/${name}.crt`, cert);
    Deno.writeTextFileSync(`${dir}/pki/${name}.key`, key);
  }
  const flags = [
    "--insecure-jwt-generate",
    "--ha-admin-listen=127.0.0.1:0",
    "--ha-admin-readers=reader",
    "--ha-admin-operators=operator",
  ];
  const primary = await workshop.start(workshop.settings("primary", 0, flags));
  const replica = await workshop.start(workshop.settings("replica", primary.ports.grpc, flags));
  await untilState(primary, "active");
  await untilState(replica, "replicating");
  await untilEqual(primary, replica);
  const as = (who: string, side: Running, ...command: string[]) =>
    runCli([
      "ha",
      ...command,
      `-a=127.0.0.1:${side.ports.adminTls}`,
      `--tls-ca=${dir}/pki/ca.crt`,
      `--tls-cert=${dir}/pki/${who}.crt`,
      `--tls-key=${dir}/pki/${who}.key`,
    ]);
  return { primary, replica, as };
}

Deno.test({
  name:
    "--ha-admin-listen: readers ask, operators change, an agent of the same CA does neither; the history says who",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const { primary, replica, as } = await pairOf(workshop);
      for (
        const command of [["status"], ["explain"], ["history"], ["watch", "--once"], ["diff"], ["deletions"]]
      ) {
        const { code, stderr } = await as("reader", replica, ...command);
        assertEquals(code, 0, `${command}: ${stderr}`);
      }
      const changes = [
        ["promote", "--yes", "--force"],
        ["demote", "--yes"],
        ["switchover", "--yes"],
        [
          "reconcile",
          "--discard",
          "--all",
          "--yes",
        ],
        ["forget-agent", "edge-1", "--yes"],
        ["deletions", "--release", "--all", "--yes"],
      ];
      for (const change of changes) {
        const refused = await as("reader", primary, ...change);
        assertEquals(refused.code, 1, change.join(" "));
        assertMatch(
          refused.stderr,
          /identity "reader" may not call \w+: it may ask \(--ha-admin-readers\)/,
        );
      }
      const agent = await as("agent-1", primary, "status");
      assertEquals(agent.code, 1);
      assertStringIncludes(
        agent.stderr,
        'identity "agent-1" may not call Status: it is in neither --ha-admin-readers',
      );
      assertEquals([primary.core.model().state, replica.core.model().state], ["active", "replicating"]);
      const promoted = await as("operator", replica, "promote", "--yes", "--force");
      assertEquals(
        [promoted.code, promoted.stdout],
        [0, "Promoted. State is now: active\n"],
        promoted.stderr,
      );
      assertMatch(
        replica.core.chain().find(({ what }) => what === "promote --force")?.who ?? "",
        /^operator by certificate, as \S+@\S+$/,
      );
      assert(workshop.logs.some((line) => line.includes("admin call refused") && line.includes("agent-1")));
    }),
});

Deno.test({
  name:
    "--ha-admin-listen: without TLS, or with a certificate of another CA, nothing is answered; streams are guarded too",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const { primary, as } = await pairOf(workshop);
      const plain = await runCli(["ha", "status", `-a=127.0.0.1:${primary.ports.adminTls}`, "-t=2s"]);
      assertEquals(plain.code, 1);
      assertStringIncludes(plain.stderr, "--tls-ca");
      const forged = await as("forged", primary, "status");
      assertEquals([forged.code, forged.stdout], [1, ""]);
      const watch = await as("agent-1", primary, "watch", "--once");
      assertEquals([watch.code, watch.stdout], [1, ""]);
      const client = dialPeer(`127.0.0.1:${primary.ports.adminTls}`, material(workshop, "agent-1"), 1 << 20);
      try {
        for (const [name, method] of Object.entries(operatorService)) {
          if (method.responseStream) continue;
          const code = await call(client, method as never, {}, 5_000).then(() => 0, (error) => error.code);
          assertEquals(code, 7, `${name} is answered to an agent`);
        }
      } finally {
        client.close();
      }
    }),
});

Deno.test("--ha-admin-listen is refused without anybody who may come, and lists without it", () => {
  const problem = (...flags: string[]) => {
    try {
      parseSettings(
        [
          "--namespace=a",
          "--auth=mtls:CN=(.+)",
          "--store=sqlite:x",
          "--tls-cert=a",
          "--tls-key=b",
          "--root-ca-path=c",
          ...flags,
        ],
        () => undefined,
      );
      return "";
    } catch (error) {
      return (error as Error).message;
    }
  };
  assertStringIncludes(problem("--ha-admin-listen=0.0.0.0:8406"), "lets nobody in");
  assertStringIncludes(problem("--ha-admin-listen=8406", "--ha-admin-readers=a"), "must be host:port");
  assertStringIncludes(problem("--ha-admin-operators=a"), "need --ha-admin-listen");
  assertEquals(problem("--ha-admin-listen=[::]:8406", "--ha-admin-operators=a"), "");
});
