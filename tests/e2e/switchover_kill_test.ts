/** Either side is killed at a random moment of a switchover; `ha explain` gets the operator out with one command. */
import { assert, assertEquals } from "@std/assert";
import { delay } from "@std/async/delay";
import { type PrincipalProcess, until } from "../../src/cli/processes.ts";
import { seeded } from "../support/random.ts";
import { Pair, runCli } from "../support/processes.ts";

const ROUNDS = 12;
const SEED = 6;

interface Explained {
  state: string;
  promote: { allowed: boolean };
  next: string[];
}

async function explained(side: PrincipalProcess): Promise<Explained> {
  const { code, stdout, stderr } = await runCli(["ha", "explain", "-o", "json", "-a", side.admin]);
  assertEquals(code, 0, stderr);
  return JSON.parse(stdout);
}

/** Waits until a side is no longer in the middle of something. */
async function settled(side: PrincipalProcess): Promise<Explained> {
  let last: Explained | undefined;
  await until(
    async () => {
      last = await explained(side);
      return !last.next[0]?.startsWith("wait");
    },
    30_000,
    () => `still in the middle: ${JSON.stringify(last)}\n${side.logEnd()}`,
    200,
  );
  return last as Explained;
}

Deno.test({
  name:
    "switchover: kill -9 of either side at random moments leaves at most one ACTIVE, and one command makes it one",
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    const random = seeded(SEED);
    const pair = await Pair.open();
    try {
      await pair.start();
      await pair.write(pair.primary, 40, "first");
      await pair.untilEqual();
      let active = pair.primary;
      let commands = 0;
      for (let round = 0; round < ROUNDS; round++) {
        const other = active === pair.primary ? pair.replica : pair.primary;
        const victim = random.chance(0.5) ? active : other;
        const survivor = victim === active ? other : active;
        const afterMs = random.int(350);
        const title = `round ${round}: ${victim.side.name} killed after ${afterMs} ms`;
        const moving = runCli(["ha", "switchover", "--yes", "-a", survivor.admin]);
        await delay(afterMs);
        await victim.kill("SIGKILL");
        await moving;
        const { state, next, promote } = await settled(survivor);
        if (state !== "active") {
          assert(next[0]?.startsWith("ha promote here"), `${title}: ${state}: ${next}`);
          assert(promote.allowed, title);
          const { code, stderr } = await runCli(["ha", "promote", "--yes", "-a", survivor.admin]);
          assertEquals(code, 0, `${title}: ${stderr}`);
          commands++;
        }
        assertEquals((await survivor.healthz()).code, 200, title);
        victim.start();
        await victim.untilState("replicating", 30_000);
        assertEquals(await pair.active(), 1, title);
        await pair.untilEqual(30_000);
        active = survivor;
      }
      assert(commands > 0, "no round needed the operator: the moments are not spread");
    } finally {
      await pair.close();
    }
  },
});
