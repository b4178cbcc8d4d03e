/** Emptiness deletes nothing: a follower that holds other data keeps it, and an emptied or younger leader erases nothing. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { Key } from "../../src/domain/resources/keys.ts";
import { type Running } from "../../src/serve.ts";
import { openSqlite } from "../../src/adapters/store/sqlite.ts";
import { application } from "../support/agents.ts";
import { GoPrimary } from "../support/go_peer.ts";
import {
  inWorkshop,
  LOOSE,
  material,
  Proxy,
  until,
  untilEqual,
  untilState,
  type Workshop,
} from "../support/principals.ts";

const KEYS = Array.from({ length: 10 }, (_, n): Key => `Application/edge-1/app-${n}`);

/** Puts ten Applications into a side's store before it starts. */
async function fill(workshop: Workshop, side: "primary" | "replica"): Promise<void> {
  const store = openSqlite(`${workshop.dir}/${side}.db`);
  for (const key of KEYS) {
    await store.write({ op: "put", object: application("edge-1", key.split("/")[2] as string) });
  }
  await store.close();
}

async function pair(workshop: Workshop): Promise<{ primary: Running; replica: Running }> {
  const toReplica = new Proxy(0);
  workshop.onClose(() => toReplica.close());
  const primary = await workshop.start(workshop.settings("primary", toReplica.port));
  const replica = await workshop.start(workshop.settings("replica", primary.ports.grpc));
  toReplica.targetPort = replica.ports.grpc;
  await untilState(primary, "active");
  await untilState(replica, "replicating");
  return { primary, replica };
}

const kept = async ({ core: { store } }: Running) =>
  (await Promise.all(KEYS.map((key) => store.get(key)))).filter((object) => object !== undefined).length;
const listed = async ({ operations }: Running) =>
  (await operations.losses()).losses.filter(({ now }) => now === "not replicated").map(({ key }) => key)
    .sort();

Deno.test(
  "data on the side configured as replica, beside an empty primary: nothing is deleted, all is listed and said at once",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      await fill(workshop, "replica");
      const { primary, replica } = await pair(workshop);
      assertEquals(await kept(replica), 10);
      await until(async () => (await listed(replica)).length === 10, 20_000, () => "they are not listed");
      assertEquals(await listed(replica), [...KEYS].sort());
      await untilEqual(primary, replica);
      assertEquals(replica.core.index.size, primary.core.index.size);
      assert(workshop.logs.some((line) => line.includes("are not in the leader's data")));
      const { concerns } = await replica.operations.report();
      assertEquals(concerns.foreign?.count, 10);

      const [adopted = "", discarded = "", ...rest] = KEYS;
      const who = "an operator";
      const here = replica.operations.reconcile({ action: "adopt", keys: [adopted], who });
      assert((await here.then(() => "", String)).includes("the ACTIVE adopts what this side keeps"));
      await primary.operations.reconcile({ action: "adopt", keys: [adopted], who });
      await until(() => primary.core.index.present(adopted) !== undefined, 20_000, () => "it is not adopted");
      await replica.operations.reconcile({ action: "discard", keys: [discarded], who });
      assertEquals(await replica.core.store.get(discarded), undefined);
      await until(
        async () => (await listed(replica)).length === 8,
        20_000,
        () => "the decided ones stay listed",
      );
      assertEquals(await listed(replica), [...rest].sort());
      await untilEqual(primary, replica);

      await primary.core.store.write({ op: "put", object: application("edge-1", "app-2") });
      await until(
        () => replica.core.index.present("Application/edge-1/app-2") !== undefined,
        20_000,
        () => "no",
      );
      await untilEqual(primary, replica);
      assertEquals((await listed(replica)).length, 7);
    }),
);

Deno.test(
  "what is kept survives a restart and a promotion of its side, unserved",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      await fill(workshop, "replica");
      const { primary, replica } = await pair(workshop);
      await until(async () => (await listed(replica)).length === 10, 20_000, () => "they are not listed");
      await replica.stop();
      const again = await workshop.start(workshop.settings("replica", primary.ports.grpc));
      await untilState(again, "replicating");
      assertEquals(
        [await kept(again), (await listed(again)).length, again.core.index.present(KEYS[0] as Key)],
        [10, 10, undefined],
      );
      await again.operations.command("promote", true, "an operator");
      assertEquals([await kept(again), again.core.index.present(KEYS[0] as Key)], [10, undefined]);
    }),
);

Deno.test(
  "a primary whose store is lost, forced to serve in a higher epoch, erases nothing on the replica",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      await fill(workshop, "primary");
      const { primary, replica } = await pair(workshop);
      await untilEqual(primary, replica);
      assertEquals(replica.core.index.size >= 10, true);
      await primary.stop();
      await untilState(replica, "disconnected");
      await replica.stop();
      for (const file of ["primary.db", "primary.db-wal", "primary.db-shm"]) {
        try {
          Deno.removeSync(`${workshop.dir}/${file}`);
        } catch {
          // SQLite has removed it.
        }
      }
      const settings = workshop.settings("primary", 1);
      const emptied = await workshop.start(settings);
      await until(
        () => emptied.core.model().explanation.includes("remembers nothing"),
        20_000,
        () => emptied.core.model().explanation,
      );
      assertEquals(emptied.core.model().state, "recovering");
      await emptied.operations.command("promote", true, "an operator");
      await emptied.operations.command("demote", true, "an operator");
      await emptied.operations.command("promote", true, "an operator");
      assert(emptied.core.model().memory.epoch > 1);
      const follower = await workshop.start(workshop.settings("replica", emptied.ports.grpc));
      await untilState(follower, "replicating");
      assertEquals(await kept(follower), 10);
      await until(async () => (await listed(follower)).length === 10, 20_000, () => "they are not listed");
      assertStringIncludes(workshop.logs.join("\n"), "ha reconcile lists them");
    }),
);

Deno.test(
  "data beside a Go primary that this side never followed: nothing is deleted, though it confirms that it is gone",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      await fill(workshop, "replica");
      const primary = new GoPrimary();
      const port = await primary.listen(material(workshop, "primary"));
      workshop.onClose(() => primary.close());
      const has = (name: string) =>
        primary.has("edge-1", name, { spec: { project: "p", destination: { name: "edge-1" } } });
      has("theirs");
      const replica = await workshop.start(workshop.settings("replica", port));
      await untilState(replica, "replicating");
      const destination = { name: "edge-1" };
      primary.forward("outbound", "edge-1", "spec-update", "application", {
        metadata: { name: "theirs", namespace: "edge-1" },
        spec: { project: "changed", destination },
      }, 3);
      has("missed");
      await until(
        () => replica.core.index.present("Application/edge-1/missed") !== undefined,
        15_000,
        () => "no second snapshot",
      );
      assertEquals([await kept(replica), await listed(replica)], [10, [...KEYS].sort()]);
    }),
);
