/** A store that is restored from an older copy rolls nothing back: neither the peer's copy nor, before it serves, what agents have. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type Running } from "../../src/serve.ts";
import { application } from "../support/agents.ts";
import {
  inWorkshop,
  LOOSE,
  Proxy,
  until,
  untilEqual,
  untilState,
  type Workshop,
} from "../support/principals.ts";

const key = (name: string) => `Application/edge-1/${name}`;
const spec = (path: string) => ({
  project: "default",
  source: { repoURL: "https://git.example.com/a.git", path },
  destination: { name: "edge-1", namespace: "default" },
});
const FILES = ["primary.db", "primary.db-wal", "primary.db-shm"];

interface Pair {
  primary: Running;
  replica: Running;
  toPrimary: Proxy;
  toReplica: Proxy;
}

async function pair(workshop: Workshop): Promise<Pair> {
  const [toPrimary, toReplica] = [new Proxy(0), new Proxy(0)];
  workshop.onClose(() => [toPrimary, toReplica].forEach((proxy) => proxy.close()));
  const primary = await workshop.start(workshop.settings("primary", toReplica.port));
  toPrimary.targetPort = primary.ports.grpc;
  const replica = await workshop.start(workshop.settings("replica", toPrimary.port));
  toReplica.targetPort = replica.ports.grpc;
  await untilState(primary, "active");
  await untilState(replica, "replicating");
  return { primary, replica, toPrimary, toReplica };
}

const copy = ({ dir }: Workshop, from: string, to: string) => {
  for (const file of FILES) {
    try {
      Deno.copyFileSync(`${dir}/${from}${file}`, `${dir}/${to}${file}`);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      try {
        Deno.removeSync(`${dir}/${to}${file}`);
      } catch {
        // There is none.
      }
    }
  }
};

const put = ({ core: { store } }: Running, name: string, path = "one") =>
  store.write({ op: "put", object: { ...application("edge-1", name), spec: spec(path) } });
const pathOf = async ({ core: { store } }: Running, name: string) => {
  const found = await store.get(key(name));
  return (found?.["spec"] as { source?: { path?: string } } | undefined)?.source?.path;
};

/** Makes a backup of the primary's store while it has `old`, goes on, stops the primary and restores the backup. */
async function restored(workshop: Workshop, { primary, replica }: Pair): Promise<void> {
  await put(primary, "old");
  await put(primary, "gone");
  await untilEqual(primary, replica);
  copy(workshop, "", "backup-");
  await put(primary, "old", "two");
  await put(primary, "new");
  await primary.core.store.write({ op: "delete", key: key("gone") });
  await until(() => replica.core.index.present(key("new")) !== undefined, 20_000, () => "not replicated");
  await untilEqual(primary, replica);
  await primary.stop();
  await untilState(replica, "disconnected");
  copy(workshop, "backup-", "");
}

/** The primary on its restored store, which waits for an operator. */
async function restarted(workshop: Workshop, { toReplica }: Pair): Promise<Running> {
  const back = await workshop.start(workshop.settings("primary", toReplica.port));
  const { model } = back.core;
  await until(
    () => model().explanation.includes("restored from a backup"),
    20_000,
    () => model().explanation,
  );
  return back;
}

Deno.test(
  "an ACTIVE whose store was restored waits for an operator, and follows the peer that is promoted",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const sides = await pair(workshop);
      const { replica, toPrimary } = sides;
      await restored(workshop, sides);
      const back = await restarted(workshop, sides);
      toPrimary.targetPort = back.ports.grpc;
      assertEquals(back.core.model().state, "recovering");
      const refused = await back.operations.command("promote", false, "an operator").catch(String);
      assertStringIncludes(String(refused), "restored from a backup");
      const { next, loss } = await back.operations.explain();
      assertEquals([next.at, next.command], ["peer", "ha promote"]);
      assertMatch(
        loss,
        /made after 20\d\d-\S+Z \(changes until 20\d\d-\S+Z were heard of\); .*ha reconcile there$/,
      );

      await replica.operations.command("promote", false, "an operator");
      await untilState(back, "replicating");
      await untilEqual(back, replica);
      assertEquals([await pathOf(back, "old"), await pathOf(back, "new")], ["two", "one"]);
      assertEquals(await back.core.store.get(key("gone")), undefined);
    }),
);

Deno.test(
  "an ACTIVE whose store was restored and that is forced to serve rolls its replica back in nothing: newer states are kept, new objects too",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const sides = await pair(workshop);
      const { replica, toPrimary } = sides;
      await restored(workshop, sides);
      const back = await restarted(workshop, sides);
      await back.operations.command("promote", true, "an operator");
      await untilState(back, "active");
      toPrimary.targetPort = back.ports.grpc;
      await untilState(replica, "replicating");
      await untilEqual(back, replica);
      assertEquals(await pathOf(replica, "new"), "one");
      const { losses } = await replica.operations.losses();
      assertEquals(losses.map((loss) => [loss.key, loss.now]).sort(), [
        [key("new"), "not replicated"],
        [key("old"), "another state"],
      ]);
      assert(workshop.logs.some((line) => line.includes("older than what this side had of it")));
      const { concerns } = await replica.operations.report();
      assertEquals([concerns.restored?.count, concerns.foreign?.count, concerns.losses?.count], [1, 1, 1]);
      assertMatch(
        concerns.restored?.examples[0] ?? "",
        /made after 20\d\d-.*; kept here: 1 overwritten, 1 that it lacks$/,
      );
      const alone = "since this store was restored from a backup, what the replica alone keeps: 2 states";
      await until(
        async () => (await back.operations.explain()).loss.includes(alone),
        15_000,
        () => "the ACTIVE does not say what it lacks",
      );

      const who = "an operator";
      await back.operations.reconcile({ action: "adopt", keys: losses.map((loss) => loss.key), who });
      await until(async () => await pathOf(back, "old") === "two", 20_000, () => "it is not adopted");
      assertEquals(await pathOf(back, "new"), "one");
      await untilEqual(back, replica);
    }),
);

Deno.test(
  "a restored ACTIVE that could not ask its peer rolls nothing back either, also when it has started twice",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const sides = await pair(workshop);
      const { replica, toPrimary, toReplica } = sides;
      await restored(workshop, sides);
      toReplica.mode = "refuse";
      const first = await workshop.start(workshop.settings("primary", toReplica.port));
      await untilState(first, "active");
      for (let n = 0; n < 20; n++) await put(first, "busy", String(n));
      await first.stop();
      const second = await workshop.start(workshop.settings("primary", toReplica.port));
      await untilState(second, "active");
      toPrimary.targetPort = second.ports.grpc;
      await untilState(replica, "replicating");
      await untilEqual(second, replica);
      assertEquals(await pathOf(replica, "new"), "one");
      const { losses } = await replica.operations.losses();
      assertEquals(losses.map((loss) => loss.key).sort(), [key("new"), key("old")]);
    }),
);
