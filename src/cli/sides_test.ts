import { assertEquals, assertStringIncludes } from "@std/assert";
import { reasonOf } from "../base/reason.ts";
import { readSides, sideNamed } from "./sides.ts";

async function withFile(text: string, run: () => Promise<void>): Promise<void> {
  const file = Deno.makeTempFileSync({ suffix: ".yaml" });
  const before = Deno.env.get("ARGOCD_AGENT_HA_SIDES");
  Deno.env.set("ARGOCD_AGENT_HA_SIDES", file);
  try {
    Deno.writeTextFileSync(file, text);
    await run();
  } finally {
    if (before === undefined) Deno.env.delete("ARGOCD_AGENT_HA_SIDES");
    else Deno.env.set("ARGOCD_AGENT_HA_SIDES", before);
    Deno.removeSync(file);
  }
}

Deno.test("sideNamed() finds a side, and names those that there are where it does not", () =>
  withFile("sides:\n  west: { address: 'w:1' }\n  east: { principal-context: e }\n", async () => {
    assertEquals(await sideNamed("east"), { "principal-context": "e" });
    assertStringIncludes(await sideNamed("north").catch(reasonOf) as string, "it names west, east");
  }));

Deno.test("readSides() refuses what it does not know, with the file and the field", async () => {
  for (
    const [text, reason] of [
      ["- a", 'no map "sides"'],
      ["sides: { west: w:1 }", 'side "west" is not a map'],
      ["sides: { west: { adress: w:1 } }", 'unknown field "adress"; known: address'],
      ["sides: { west: { address: 1 } }", "address is not a text"],
      ["sides: [", "cannot read the file of sides"],
    ] as const
  ) {
    await withFile(text, async () => {
      assertStringIncludes(String(await readSides().then(() => "", reasonOf)), reason);
    });
  }
});
