/** The Go principal as our partner in either role, played from its contract. */
import { assert, assertEquals } from "@std/assert";
import { generatedApplication } from "../../src/cli/examples.ts";
import { application, serving, startAgent, untilHolds } from "../support/agents.ts";
import { GoPrimary, GoReplica } from "../support/go_peer.ts";
import { inWorkshop, LOOSE, until, untilState } from "../support/principals.ts";
import { Authority } from "../../src/adapters/tls/pki.ts";
import { Buffer } from "node:buffer";
import type { Workshop } from "../support/principals.ts";

/** The peer presents its server certificate in both directions. */
async function material(workshop: Workshop, commonName: string) {
  const text = (name: string) => Deno.readTextFileSync(`${workshop.dir}/pki/${name}`);
  const authority = await Authority.load({ cert: text("ca.crt"), key: text("ca.key") }, 1);
  const { cert, key } = await authority.issue({ commonName, sans: ["127.0.0.1", "localhost"], server: true });
  return {
    ca: Buffer.from(text("ca.crt")),
    cert: Buffer.from(cert),
    key: Buffer.from(key),
    notAfterMs: Date.now() + 1e7,
  };
}

Deno.test(
  "a Go replica follows us: under its 4 MiB, in contiguous numbers, quiet while in sync (1, 25, 26)",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const primary = await serving(workshop);
      const { store } = primary.core;
      const big = Array.from({ length: 700 }, (_, n) => {
        const object = generatedApplication(n);
        object.metadata.annotations = { filler: "x".repeat(8_000) };
        return object;
      });
      await Promise.all(big.map((object) => store.write({ op: "put", object })));
      await until(() => primary.core.index.size >= 700, 20_000, () => "not indexed", 5);
      const replica = new GoReplica(`127.0.0.1:${primary.ports.grpc}`, await material(workshop, "replica"));
      workshop.onClose(() => replica.close());
      await replica.connect();
      await until(() => replica.resources.size === 700, 20_000, () => `${replica.resources.size} of 700`, 5);
      assertEquals(await replica.wouldReconcile(), false);

      // Agents come and report: it hears principal-side objects, and nothing of an agent's own namespace.
      const agent = await startAgent(workshop, primary, { name: "edge-1", namespace: "agent-side" });
      const mine = big.filter(({ metadata }) => metadata.namespace === "edge-1").map(({ metadata }) =>
        metadata.name
      );
      await untilHolds(agent, "Application", mine);
      await store.write({ op: "delete", key: "Application/edge-2/app-1" });
      await until(
        () => !replica.resources.has("Application/edge-2/app-1") && agent.outbox.pending === 0,
        20_000,
        () => "the deletion does not come",
        5,
      );
      await until(
        async () => !await replica.wouldReconcile(),
        20_000,
        () => "it would fetch everything again",
        5,
      );
      const { sync } = agent.cluster.get("Application", mine[0] ?? "")?.["status"] as {
        sync: { revision: string };
      };
      const reported = () => replica.resources.get(`Application/edge-1/${mine[0]}`) ?? "";
      await until(() => reported().includes(sync.revision), 20_000, () => reported().slice(0, 300), 5);
      assertEquals([...replica.resources.keys()].filter((key) => key.includes("agent-side")), []);
      assertEquals([replica.needsReconcile, replica.problems], [false, []]);

      await primary.operations.command("demote", false, "");
      await until(
        () => replica.problems.length > 0,
        20_000,
        () => "its stream goes on after the demotion (10)",
        5,
      );
      const refused = await replica.reconcile().then(() => "", (error) => error.details);
      assert(
        refused.startsWith("not ACTIVE"),
        `a principal that is not ACTIVE answers a snapshot: ${refused}`,
      );
    }),
);

Deno.test(
  "we follow a Go primary: raw events, gaps, replays and confirmations of one that is not active (10, 16, 23, 25)",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const primary = new GoPrimary();
      const port = await primary.listen(await material(workshop, "primary"));
      workshop.onClose(() => primary.close());
      for (const name of ["a", "b"]) {
        primary.has("edge-1", name, { spec: { project: "p", destination: { name: "edge-1" } } });
      }
      const replica = await workshop.start(workshop.settings("replica", port, ["--insecure-jwt-generate"]));
      const { store } = replica.core;
      await untilState(replica, "replicating");
      await store.write({ op: "put", object: application("edge-1", "only-here") });
      await until(
        () => replica.core.index.present("Application/edge-1/only-here") !== undefined,
        20_000,
        () => "the replica does not see its own Application",
        5,
      );
      const names = async () =>
        (await store.list("Application")).map(({ metadata }) => `${metadata.namespace}/${metadata.name}`);
      assertEquals(
        await names(),
        ["edge-1/a", "edge-1/b", "edge-1/only-here"],
        "nothing is deleted on its word alone",
      );

      const theirs = { name: "a", namespace: "agent-side", uid: "u" };
      const status = { health: { status: "Healthy" } };
      primary.forward("inbound", "edge-1", "status-update", "application", { metadata: theirs, status });
      primary.forward("inbound", "edge-1", "delete", "application", { metadata: { ...theirs, name: "b" } });
      primary.forward("inbound", "auto-1", "create", "application", {
        metadata: { ...theirs, name: "own" },
        spec: { project: "x", destination: { server: "s" } },
      });
      await until(
        async () => (await names()).includes("auto-1/own"),
        20_000,
        () => "the autonomous Application does not come",
        10,
      );
      await until(
        async () =>
          JSON.stringify((await store.get("Application/edge-1/a"))?.["status"]) === JSON.stringify(status),
        20_000,
        () => "the status does not come",
        10,
      );
      assertEquals(await names(), ["auto-1/own", "edge-1/a", "edge-1/b", "edge-1/only-here"]);

      const snapshots = primary.calls.snapshot;
      primary.has("edge-1", "missed", { spec: { project: "p", destination: {} } });
      primary.forward("outbound", "edge-1", "spec-update", "application", {
        metadata: { name: "b", namespace: "edge-1" },
        spec: { project: "changed", destination: {} },
      }, 3);
      await until(
        async () => (await names()).includes("edge-1/missed"),
        15_000,
        () => "the gap is not mended",
        10,
      );
      assert(primary.calls.snapshot > snapshots);
      await until(
        async () => !(await names()).includes("edge-1/only-here"),
        15_000,
        () => "what an active primary confirms as deleted stays",
        20,
      );
      assert((primary.acks.at(-1) ?? 0) > 0);

      primary.close();
      await untilState(replica, "disconnected");
      const attempts = primary.calls.subscribe;
      await replica.operations.command("promote", false, "");
      const agent = await startAgent(workshop, replica, { name: "edge-1" });
      await untilHolds(agent, "Application", ["a", "b", "missed"]);
      assert(primary.calls.subscribe - attempts <= 1, "a dead primary is not hammered");
    }),
);

Deno.test(
  "with a Go principal: one whose /healthz says ACTIVE is followed at start, and not overridden without --force",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const go = new GoPrimary();
      const port = await go.listen(await material(workshop, "replica"));
      workshop.onClose(() => go.close());
      let code = 200;
      const healthz = Deno.serve(
        { hostname: "127.0.0.1", port: 0, onListen: () => {} },
        () => new Response(null, { status: code }),
      );
      workshop.onClose(() => healthz.shutdown());
      const url = `http://127.0.0.1:${(healthz.addr as Deno.NetAddr).port}/healthz`;
      const ours = await workshop.start(
        workshop.settings("primary", port, ["--insecure-jwt-generate", `--ha-peer-healthz=${url}`]),
      );
      await untilState(ours, "replicating");
      assertEquals(ours.core.model().memory.role, "replica");
      go.close();
      await untilState(ours, "disconnected", 20_000);
      const again = new GoPrimary();
      await again.listen(await material(workshop, "replica"), port);
      workshop.onClose(() => again.close());
      const refused = await ours.operations.command("promote", false, "").then(() => "", (error) =>
        error.message);
      assert(/ACTIVE as its \/healthz says|still replicating/.test(refused), refused);
      code = 503;
      assertEquals((await ours.operations.command("promote", true, "")).state, "active");
    }),
);
