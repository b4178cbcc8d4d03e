/** Pairs whose flags say what replicates, and are changed with a restart. */
import { assertEquals, assertMatch } from "@std/assert";
import { openSqlite } from "../../src/adapters/store/sqlite.ts";
import type { ApiObject } from "../../src/domain/resources/object.ts";
import type { Running } from "../../src/serve.ts";
import { application, project, repository, startAgent, untilHolds } from "./agents.ts";
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

/** The store of a side while its principal is stopped. */
export interface Stopped {
  fill(objects: readonly ApiObject[]): Promise<void>;
  remove(objects: readonly ApiObject[]): Promise<void>;
}

/** The embedded store of the primary. */
export function embedded(workshop: Workshop): Stopped {
  return {
    fill: (objects) => fill(workshop, "primary", objects),
    remove: async (objects) => {
      const store = openSqlite(`${workshop.dir}/primary.db`);
      for (const object of objects) await store.write({ op: "delete", key: keyOfMade(object) });
      await store.close();
    },
  };
}

/**
 * Narrows a flag at an ACTIVE that serves an agent, and widens it again. The agent keeps what the flag leaves out, with the repository of a
 * project that it leaves out; what was deleted from the store while the principal was stopped is deleted at the agent too.
 */
export async function narrowedAtActive(
  workshop: Workshop,
  flag: keyof typeof DIMENSIONS,
  stopped: Stopped,
  storeFlags: readonly string[] = [],
): Promise<void> {
  const { narrow, wide, outside } = DIMENSIONS[flag];
  const apps = ["one", "two", "goes"].map((name) => outside(name, "1"));
  const [gone] = apps.slice(-1) as [ApiObject];
  const name = gone.metadata.namespace ?? "";
  const ofTeam = project("theirs", name);
  const labelled = { ...ofTeam, metadata: { ...ofTeam.metadata, labels: { team: "b" } } };
  await stopped.fill([...apps, labelled, repository("repo", "theirs")]);
  const start = (flags: readonly string[]) =>
    workshop.start(workshop.settings("primary", 0, ["--insecure-jwt-generate", ...storeFlags, ...flags]));
  let running = await start(wide);
  const agent = await startAgent(workshop, () => `127.0.0.1:${running.ports.grpc}`, { name });
  await untilHolds(agent, "Application", ["goes", "one", "two"], BOUND_MS);
  await untilHolds(agent, "Repository", ["repo"], BOUND_MS);
  const deleted: string[] = [];
  agent.onEvent = ({ type, subject = "" }) => {
    if (type === "delete") deleted.push(subject);
  };
  await running.stop();
  if (flag === "--label-selector") await stopped.remove([gone]);
  running = await start(narrow);
  await until(
    () => workshop.logs.some((line) => line.includes(`outside ${flag}`)),
    BOUND_MS,
    () => `it is not said; deleted ${deleted}`,
  );
  const left = flag === "--label-selector" ? ["one", "two"] : ["goes", "one", "two"];
  await untilHolds(agent, "Application", left, BOUND_MS);
  await running.stop();
  running = await start(wide);
  await running.core.store.write({ op: "put", object: outside("three", "1") });
  await untilHolds(agent, "Application", [...left, "three"], BOUND_MS);
  assertEquals(deleted, flag === "--label-selector" ? [`${name}/goes`] : []);
  assertEquals(agent.cluster.recreated, 0);
  assertEquals(agent.cluster.list("Repository").map(({ metadata }) => metadata.name), ["repo"]);
}
