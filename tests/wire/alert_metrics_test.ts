/** The metrics that exist for alerts: certificates, the peer, the last drill, agents that do not come back or are refused. */
import { assert, assertEquals } from "@std/assert";
import { readRoster, rosterKey } from "../../src/domain/resources/roster.ts";
import type { ActiveStore } from "../../src/principal/active/active_store.ts";
import { Roster } from "../../src/principal/active/roster.ts";
import type { Rows } from "../../src/principal/ports/telemetry.ts";
import type { Running } from "../../src/serve.ts";
import { application, certificateFor, serving, startAgent, untilServed } from "../support/agents.ts";
import { runCli } from "../support/processes.ts";
import { inWorkshop, LOOSE, until, untilEqual, untilState } from "../support/principals.ts";

const read = (side: Running, name: string): number | Rows => {
  const series = side.core.series.find((one) => one.name === `argocd_agent_ha_${name}`);
  assert(series, `there is no metric ${name}`);
  return series.read();
};
const rowOf = (side: Running, name: string, label: string): number | undefined => {
  const rows = read(side, name);
  assert(typeof rows === "object");
  return rows.find(([labels]) => Object.values(labels).includes(label))?.[1];
};
/** The agents that are awaited, without the minute of grace. */
const away = (side: Running) => {
  const nothing = () => {};
  const log = { trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing };
  const store = { writable: true } as ActiveStore;
  return new Roster(store, "argocd", log, side.core.index, 0).away.examples;
};
const untilAway = (side: Running, names: string[]) =>
  until(() => away(side).join() === names.join(), 20_000, () => `away are "${away(side)}", not "${names}"`);
const untilConnected = (side: Running, count: number) =>
  until(
    async () => {
      const roster = readRoster(await side.core.store.get(rosterKey("argocd")));
      return [...roster.values()].filter(({ connected }) => connected).length === count;
    },
    20_000,
    () => `the roster does not have ${count} agents connected`,
  );
const FLAGS = ["--insecure-jwt-generate"];

Deno.test({
  name:
    "metrics tell when certificates expire, whether the peer answers, and when a drill passed, also after a restart",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const primary = await workshop.served(workshop.settings("primary", 1, FLAGS));
      const settings = workshop.settings("replica", primary.ports.grpc, FLAGS);
      let replica = await workshop.start(settings);
      await untilState(primary, "active");
      assertEquals(read(primary, "peer_reachable"), [[{}, 0]]);
      await primary.core.store.write({ op: "put", object: application("edge-1", "a") });
      await untilState(replica, "replicating");
      await untilEqual(primary, replica);
      assertEquals(read(replica, "peer_reachable"), [[{}, 1]]);
      for (const certificate of ["principal", "principal-ca"]) {
        const expiry = rowOf(replica, "certificate_expiry_timestamp_seconds", certificate) ?? 0;
        const leftS = expiry - Date.now() / 1_000;
        assert(leftS > 0 && leftS < 10 * 366 * 86_400, `${certificate} expires in ${leftS} s`);
      }
      assertEquals(read(replica, "last_drill_timestamp_seconds"), 0);
      const begun = Date.now() / 1_000;
      const drill = await runCli(["ha", "drill", "-a", `127.0.0.1:${replica.ports.admin}`]);
      assertEquals(drill.code, 0, drill.stdout + drill.stderr);
      const drilled = read(replica, "last_drill_timestamp_seconds");
      assert(typeof drilled === "number" && drilled >= begun - 1 && drilled <= Date.now() / 1_000);
      await replica.stop();
      replica = await workshop.start(settings);
      assertEquals(read(replica, "last_drill_timestamp_seconds"), drilled);
      assertEquals(read(replica, "history_broken"), 0);
    }),
});

Deno.test({
  name:
    "agents that were connected before a restart and have not come back are awaited, until they do or are forgotten",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const settings = workshop.settings("primary", 0, FLAGS);
      const first = await workshop.start(settings);
      await untilState(first, "active");
      const names = ["edge-1", "edge-2", "edge-3"];
      const agents = await Promise.all(names.map((name) => startAgent(workshop, first, { name })));
      for (const agent of agents) await untilServed(first, agent);
      await untilConnected(first, 3);
      await agents[2]?.stop();
      await untilConnected(first, 2);
      await first.stop();
      await Promise.all(agents.map((agent) => agent.stop()));
      const second = await workshop.start(settings);
      await untilState(second, "active");
      await untilAway(second, ["edge-1", "edge-2"]);
      assertEquals(read(second, "agents_not_back"), 0, "nobody is told of within the first minute");
      const back = await startAgent(workshop, second, { name: "edge-1" });
      await untilServed(second, back);
      await untilAway(second, ["edge-2"]);
      await second.operations.forgetAgent("edge-2", "somebody");
      await untilAway(second, []);
    }),
});

Deno.test({
  name: "agents that are refused at authentication are counted by reason",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop);
      const none = () =>
        assertEquals((read(running, "agents_refused_total") as Rows).filter(([, n]) => n > 0), []);
      none();
      const agent = await startAgent(workshop, running, { name: "edge-1" });
      await untilServed(running, agent);
      none();
      await agent.stop();
      const other = await startAgent(workshop, running, { name: "edge-1", mode: "autonomous" });
      const material = await certificateFor(`${workshop.dir}/pki`, "not/a/name");
      const nameless = await startAgent(workshop, running, { name: "edge-2", material });
      for (const reason of ["mode", "credentials"]) {
        await until(
          () => (rowOf(running, "agents_refused_total", reason) ?? 0) > 0,
          20_000,
          () => `no refusal is counted for ${reason}: ${other.seen.ends} ${nameless.seen.ends}`,
        );
      }
    }),
});
