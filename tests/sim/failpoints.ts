/**
 * Killed at every await: an operation is begun on a pair at rest, and one side is killed right before its first, second, third … event
 * after that, until the operation outlives all of them. Everything that production code awaits (a timer, the disk's answer, a message)
 * is an event here, so no point between two durable effects is left out. Then the dead side starts again, and the story must end as any.
 */
import { generatedApplication } from "../../src/cli/examples.ts";
import type { Process } from "./clock.ts";
import { Violation } from "./violation.ts";
import { Operator } from "./operator.ts";
import { Rest } from "./rest.ts";
import type { Site } from "./site.ts";
import { World } from "./world.ts";

const SEED = 7;
const READY_MS = 60_000;
const DOWN_MS = 3_000;
/** The most events of one side that an operation takes. */
const MAX_POINTS = 3_000;
const QUIET_MS = 1_500;

/** The operation; it resolves at its end. */
type Begin = (world: World, operator: Operator) => Promise<unknown>;

/** The operations, by name. */
export const OPERATIONS: Record<string, Begin> = {
  promote: (world, operator) => operator.promote(world.sites.b, true),
  demote: (world, operator) => operator.demote(world.sites.a),
  switchover: (world, operator) => operator.switchover(world.sites.a),
  snapshot: (world) => {
    world.sites.b.kill();
    world.sites.b.start();
    return write(world, 20);
  },
  apply: (world) => write(world, 8),
  acknowledge: (world) => {
    for (const { agent, process, mode } of world.agents) {
      if (mode !== "autonomous") continue;
      world.clock.as(process, () => {
        for (let n = 0; n < 3; n++) {
          const { metadata, ...rest } = generatedApplication(n);
          agent.apply("Application", { ...rest, metadata: { name: metadata.name, namespace: "argocd" } });
        }
      });
    }
    return Promise.resolve();
  },
};

async function write(world: World, many: number): Promise<void> {
  for (let n = 0; n < many; n++) {
    const object = generatedApplication(n);
    Object.assign(object.metadata, { namespace: "agent-1", labels: { owner: "agent-1" } });
    await world.sites.a.disk.write("user", { op: "put", object });
  }
}

/** One kill. `reached`: whether the operation went on for so long. */
export interface Point {
  reached: boolean;
  violation: Violation | undefined;
  trace: string[];
}

/** Kills a side before its `point`th event of an operation. */
export async function killAt(
  operation: string,
  victim: "a" | "b",
  point: number,
): Promise<Point> {
  const world = new World(SEED, { managed: 2, autonomous: 1 });
  const operator = new Operator(world);
  const site = world.sites[victim];
  let reached = false;
  world.guard();
  try {
    world.start();
    const ready = () =>
      world.sites.b.state === "replicating" && world.crowd.connected === 3 && same(world.both);
    if (!await world.run(ready, READY_MS)) throw new Violation("crash", "the pair never came to rest");
    let events = 0;
    world.clock.onEvent = (process: Process) => {
      if (reached || process.name !== site.process.name || ++events < point) return;
      reached = true;
      world.tell("failpoint", `${operation}: ${victim} is killed before event ${point}`);
      site.kill();
      world.clock.schedule(world.clock.nobody, DOWN_MS, () => site.start(), "starts again");
    };
    let over = false;
    OPERATIONS[operation]?.(world, operator).then(() => over = true);
    await world.run(() => over || reached, READY_MS);
    await world.run(() => reached, QUIET_MS);
    over = true;
    world.clock.onEvent = undefined;
    await new Rest(world, operator, new Map()).come();
    return { reached, violation: undefined, trace: world.trace };
  } catch (error) {
    world.checks.found(error);
    return { reached, violation: world.checks.violation, trace: world.trace };
  } finally {
    world.end();
  }
}

/** Every point of an operation; the first that breaks an invariant ends it. */
export async function everyPoint(
  operation: string,
  victim: "a" | "b",
): Promise<{ points: number; failed: Point | undefined }> {
  for (let point = 1; point <= MAX_POINTS; point++) {
    const outcome = await killAt(operation, victim, point);
    if (outcome.violation) return { points: point, failed: outcome };
    if (!outcome.reached) return { points: point - 1, failed: undefined };
  }
  throw new Error(`${operation} did not end within ${MAX_POINTS} events of ${victim}`);
}

function same([a, b]: Site[]): boolean {
  const root = a?.core?.index.digests.root();
  return root !== undefined && root === b?.core?.index.digests.root();
}
