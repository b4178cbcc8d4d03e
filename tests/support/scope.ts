/** Pairs whose flags say what replicates, and are changed with a restart. */
import { assertEquals, assertMatch } from "@std/assert";
import { openSqlite } from "../../src/adapters/store/sqlite.ts";
import type { ApiObject } from "../../src/domain/resources/object.ts";
import type { Running } from "../../src/serve.ts";
import { application } from "./agents.ts";
import { Proxy, until, untilEqual, untilState, type Workshop } from "./principals.ts";

const BOUND_MS = 60_000;

export type Side = "primary" | "replica";

/** Two sets of flags, and an object within both of them, and in the wider one only. */
export const DIMENSIONS = {
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

export const ORDERS: readonly (readonly Side[])[] = [["primary", "replica"], ["replica", "primary"]];

export function made(namespace: string, name: string, targetRevision: string, team: string): ApiObject {
  const made = application(namespace, name);
  const source = { repoURL: "https://git.example/a.git", path: ".", targetRevision };
  return {
    ...made,
    metadata: { ...made.metadata, labels: { team } },
    spec: { ...made["spec"] as object, source },
  };
}

/** Puts objects into the store of a side that is not running. */
export async function fill(workshop: Workshop, side: Side, objects: readonly ApiObject[]): Promise<void> {
  const store = openSqlite(`${workshop.dir}/${side}.db`);
  for (const object of objects) await store.write({ op: "put", object });
  await store.close();
}

export const keyOfMade = ({ kind, metadata: { namespace, name } }: ApiObject) =>
  `${kind}/${namespace}/${name}`;

/** The revision that a side's store has of an object. */
export async function revisionOf({ core: { store } }: Running, object: ApiObject): Promise<unknown> {
  const found = await store.get(keyOfMade(object));
  return (found?.["spec"] as { source: { targetRevision: string } } | undefined)?.source.targetRevision;
}

/** Two principals that can be restarted with other flags. */
export class RestartedPair {
  readonly #running = new Map<Side, Running>();
  readonly #to = { primary: new Proxy(0), replica: new Proxy(0) };

  /** @param storeOf the flags of a side's store; default: the embedded one */
  constructor(
    private readonly workshop: Workshop,
    private readonly storeOf: (side: Side) => readonly string[] = () => [],
  ) {
    workshop.onClose(async () => {
      await this.#to.primary.close();
      await this.#to.replica.close();
    });
  }

  async start(side: Side, flags: readonly string[]): Promise<Running> {
    await this.#running.get(side)?.stop();
    this.#running.delete(side);
    const peer = this.#to[side === "primary" ? "replica" : "primary"];
    const running = await this.workshop.start(
      this.workshop.settings(side, peer.port, [...this.storeOf(side), ...flags]),
    );
    this.#to[side].targetPort = running.ports.grpc;
    this.#running.set(side, running);
    return running;
  }

  of(side: Side): Running {
    return this.#running.get(side) as Running;
  }

  async untilReplicating(): Promise<void> {
    await untilState(this.of("primary"), "active", BOUND_MS);
    await untilState(this.of("replica"), "replicating", BOUND_MS);
  }
}

/**
 * Widens a flag on one side after the other. The leader has `within` the narrow scope and one object of the name of `both` outside; the
 * follower has `both` and `own` outside.
 */
export async function widened(
  pair: RestartedPair,
  flag: keyof typeof DIMENSIONS,
  order: readonly Side[],
  { both, own }: { both: ApiObject; own: ApiObject },
): Promise<void> {
  const { narrow, wide } = DIMENSIONS[flag];
  await pair.start("primary", narrow);
  await pair.start("replica", narrow);
  await pair.untilReplicating();
  await untilEqual(pair.of("primary"), pair.of("replica"), BOUND_MS);
  assertEquals(await revisionOf(pair.of("replica"), both), "replica");
  const [first, second] = order as [Side, Side];
  await pair.start(first, wide);
  await pair.untilReplicating();
  if (first === "primary") {
    const { following } = pair.of("replica").core;
    await until(() => following.heldTotal === 1, BOUND_MS, () => "the leader's object is not held");
    assertMatch(following.held[0]?.reason ?? "", new RegExp(`this side's ${flag}`));
  } else {
    const { foreign } = pair.of("replica").core;
    await until(() => foreign.keys.length === 2, BOUND_MS, () => `foreign are ${foreign.keys}`);
  }
  assertEquals(
    await Promise.all([both, own].map((one) => revisionOf(pair.of("replica"), one))),
    ["replica", "replica"],
  );

  const { core, operations } = await pair.start(second, wide).then(() => pair.of("replica"));
  await pair.untilReplicating();
  await until(
    async () => await revisionOf(pair.of("replica"), both) === "primary",
    BOUND_MS,
    () => "the leader's object has not come",
  );
  await until(
    () => core.foreign.keys.join() === keyOfMade(own),
    BOUND_MS,
    () => `foreign are ${core.foreign.keys}`,
  );
  await untilEqual(pair.of("primary"), pair.of("replica"), BOUND_MS);
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
}
