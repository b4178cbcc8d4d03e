import { assert, assertEquals } from "@std/assert";
import { COMMANDS } from "./commands.ts";
import { candidates } from "./completion.ts";
import type { Verb } from "./verb.ts";

const after = (line: string) => candidates(line.split(" "), COMMANDS);

Deno.test("candidates() know verbs, options, their values and kinds", async () => {
  assertEquals(await after("dem"), ["demo"]);
  assertEquals(await after("ha dem"), ["demote"]);
  assertEquals(await after("help ha dem"), ["demote"]);
  assertEquals(await after("ha status -o "), ["text", "json", "yaml"]);
  assertEquals(await after("ha promote --fo"), ["--force"]);
  assertEquals(await after("store delete AppP"), ["AppProject"]);
  assertEquals(await after("completion b"), ["bash"]);
  assertEquals(await after("principal --ha-na"), ["--ha-name"]);
  assertEquals(await after("agent-sim --misbehave d"), ["deaf"]);
  assertEquals(await after("ha nosuch x"), []);
});

Deno.test("candidates() name the sides of the file of sides, and nothing where the principal does not answer", async () => {
  const file = Deno.makeTempFileSync({ suffix: ".yaml" });
  const before = Deno.env.get("ARGOCD_AGENT_HA_SIDES");
  Deno.env.set("ARGOCD_AGENT_HA_SIDES", file);
  try {
    Deno.writeTextFileSync(file, "sides: { west: { address: 127.0.0.1:1 }, east: { address: 127.0.0.1:1 } }");
    assertEquals(await after("ha status --side "), ["west", "east"]);
    assertEquals((await after("ha forget-agent --side west ")).filter((word) => !word.startsWith("-")), []);
  } finally {
    if (before === undefined) Deno.env.delete("ARGOCD_AGENT_HA_SIDES");
    else Deno.env.set("ARGOCD_AGENT_HA_SIDES", before);
    Deno.removeSync(file);
  }
});

Deno.test("every verb says what it is for, with an example and its exit codes", () => {
  const verbs = COMMANDS.flatMap((one): readonly Verb[] => "verbs" in one ? one.verbs : [one]);
  for (const { name, help, about, examples, exits } of verbs) {
    assert(help !== "" && about.endsWith(".") && examples.length > 0 && exits[0] && exits[2], name);
  }
});
