/** Flags that narrow or widen what replicates: what comes newly into scope, or leaves it, is neither deleted nor overwritten unseen. */
import { assertEquals, assertMatch } from "@std/assert";
import type { ApiObject } from "../../src/domain/resources/object.ts";
import type { Running } from "../../src/serve.ts";
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

type Side = "primary" | "replica";

/** Two sets of flags, and an object within both of them, and in the wider one only. */
const DIMENSIONS = {
  "--allowed-namespaces": {
    narrow: ["--allowed-namespaces=edge-1"],
    wide: ["--allowed-namespaces=edge-1,/^edge-[2-9]$/"],
    within: (name: string, revision: string) => made("edge-1", name, revision, "a"),
    outside: (name: string, revision: string) => made("edge-2", name, revision, "a"),
  },
  "--label-selector": {
    narrow: ["--label-selector=team=a"],
    wide: ["--label-selector=team in (a, b)"],
    within: (name: string, revision: string) => made("edge-1", name, revision, "a"),
    outside: (name: string, revision: string) => made("edge-1", name, revision, "b"),
  },
} as const;

const ORDERS: readonly (readonly Side[])[] = [["primary", "replica"], ["replica", "primary"]];

function made(namespace: string, name: string, targetRevision: string, team: string): ApiObject {
  const made = application(namespace, name);
  const source = { repoURL: "https://git.example/a.git", path: ".", targetRevision };
  return {
    ...made,
    metadata: { ...made.metadata, labels: { team } },
    spec: { ...made["spec"] as object, source },
  };
}

async function fill(workshop: Workshop, side: Side, objects: readonly ApiObject[]): Promise<void> {
  const store = openSqlite(`${workshop.dir}/${side}.db`);
  for (const object of objects) await store.write({ op: "put", object });
  await store.close();
}

const keyOfMade = ({ kind, metadata: { namespace, name } }: ApiObject) => `${kind}/${namespace}/${name}`;

async function revisionOf({ core: { store } }: Running, object: ApiObject): Promise<unknown> {
  const found = await store.get(keyOfMade(object));
  return (found?.["spec"] as { source: { targetRevision: string } } | undefined)?.source.targetRevision;
}

/** Two principals that can be restarted with other flags. */
class Pair {
  readonly #running = new Map<Side, Running>();
  readonly #to = { primary: new Proxy(0), replica: new Proxy(0) };

  constructor(private readonly workshop: Workshop) {
    workshop.onClose(async () => {
      await this.#to.primary.close();
      await this.#to.replica.close();
    });
  }

  async start(side: Side, flags: readonly string[]): Promise<Running> {
    await this.#running.get(side)?.stop();
    const peer = this.#to[side === "primary" ? "replica" : "primary"];
    const running = await this.workshop.start(this.workshop.settings(side, peer.port, [...flags]));
    this.#to[side].targetPort = running.ports.grpc;
    this.#running.set(side, running);
    return running;
  }

  of(side: Side): Running {
    return this.#running.get(side) as Running;
  }

  async untilReplicating(): Promise<void> {
    await untilState(this.of("primary"), "active");
    await untilState(this.of("replica"), "replicating");
  }
}

for (const [flag, { narrow, wide, within, outside }] of Object.entries(DIMENSIONS)) {
  for (const order of ORDERS) {
    Deno.test(
      `${flag} is widened at the ${order.join(", then at the ")}: what comes into scope is kept`,
      LOOSE,
      () =>
        inWorkshop(async (workshop) => {
          const [both, own] = [outside("both", "replica"), outside("own", "replica")];
          await fill(workshop, "primary", [within("app", "1"), outside("both", "primary")]);
          await fill(workshop, "replica", [both, own]);
          const pair = new Pair(workshop);
          await pair.start("primary", narrow);
          await pair.start("replica", narrow);
          await pair.untilReplicating();
          await untilEqual(pair.of("primary"), pair.of("replica"));

          const [first, second] = order as [Side, Side];
          await pair.start(first, wide);
          await pair.untilReplicating();
          if (first === "primary") {
            const { following } = pair.of("replica").core;
            await until(() => following.heldTotal === 1, 20_000, () => "the leader's object is not held");
            assertMatch(following.held[0]?.reason ?? "", new RegExp(`this side's ${flag}`));
          } else {
            const { foreign } = pair.of("replica").core;
            await until(() => foreign.keys.length === 2, 20_000, () => `foreign are ${foreign.keys}`);
          }
          assertEquals(
            await Promise.all([both, own].map((one) => revisionOf(pair.of("replica"), one))),
            ["replica", "replica"],
          );

          const { core, operations } = await pair.start(second, wide).then(() => pair.of("replica"));
          await pair.untilReplicating();
          await until(
            async () => await revisionOf(pair.of("replica"), both) === "primary",
            20_000,
            () => "the leader's object has not come",
          );
          await until(
            () => core.foreign.keys.join() === keyOfMade(own),
            20_000,
            () => `foreign are ${core.foreign.keys}`,
          );
          await untilEqual(pair.of("primary"), pair.of("replica"));
          assertEquals(await revisionOf(pair.of("replica"), own), "replica");
          const { losses } = await operations.losses();
          assertEquals(
            losses.map(({ key, reason, object }) => [
              key,
              reason,
              (object["spec"] as { source: { targetRevision: string } }).source.targetRevision,
            ]),
            [[keyOfMade(both), "overwritten", "replica"], [keyOfMade(own), "foreign", "replica"]],
          );
          assertEquals(await revisionOf(pair.of("primary"), both), "primary");
        }),
    );
  }

  Deno.test(
    `${flag} is narrowed at the leader: its copies stay, and are the leader's when it is widened again`,
    LOOSE,
    () =>
      inWorkshop(async (workshop) => {
        const [stays, leaves] = [within("app", "1"), outside("leaves", "1")];
        await fill(workshop, "primary", [stays, leaves]);
        const pair = new Pair(workshop);
        await pair.start("primary", wide);
        const { core, operations } = await pair.start("replica", wide);
        await pair.untilReplicating();
        await untilEqual(pair.of("primary"), pair.of("replica"));
        assertEquals(await revisionOf(pair.of("replica"), leaves), "1");

        await pair.start("primary", narrow);
        await pair.untilReplicating();
        await until(() => core.foreign.keys.length === 1, 20_000, () => `foreign are ${core.foreign.keys}`);
        assertEquals(await revisionOf(pair.of("replica"), leaves), "1");

        await pair.start("primary", wide);
        await pair.untilReplicating();
        await until(() => core.foreign.keys.length === 0, 20_000, () => `foreign are ${core.foreign.keys}`);
        await untilEqual(pair.of("primary"), pair.of("replica"));
        assertEquals((await operations.losses()).losses, []);
      }),
  );
}

Deno.test(
  "--allowed-namespaces is widened on a follower of a Go primary: what comes into scope is kept, though it confirms that it is gone",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const primary = new GoPrimary();
      const port = await primary.listen(material(workshop, "primary"));
      workshop.onClose(() => primary.close());
      const spec = (targetRevision: string) => ({
        project: "p",
        destination: { name: "edge-2" },
        source: { repoURL: "https://git.example/a.git", path: ".", targetRevision },
      });
      primary.has("edge-2", "both", { spec: spec("primary") });
      const [both, own] = [made("edge-2", "both", "replica", "a"), made("edge-2", "own", "replica", "a")];
      await fill(workshop, "replica", [both, own]);
      const narrow = await workshop.start(
        workshop.settings("replica", port, ["--allowed-namespaces=edge-1"]),
      );
      await untilState(narrow, "replicating");
      assertEquals(await revisionOf(narrow, own), "replica");
      await narrow.stop();
      const wide = await workshop.start(workshop.settings("replica", port));
      await untilState(wide, "replicating");
      await until(
        async () => await revisionOf(wide, both) === "primary",
        20_000,
        () => "the leader's object has not come",
      );
      await until(
        () => wide.core.foreign.keys.join() === keyOfMade(own),
        20_000,
        () => `foreign are ${wide.core.foreign.keys}`,
      );
      assertEquals(await revisionOf(wide, own), "replica");
      const { losses } = await wide.operations.losses();
      assertEquals(losses.map(({ key, reason }) => [key, reason]), [
        [keyOfMade(both), "overwritten"],
        [keyOfMade(own), "foreign"],
      ]);
    }),
);
