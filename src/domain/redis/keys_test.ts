import { assertEquals } from "@std/assert";
import { applicationKey } from "./keys.ts";

Deno.test("applicationKey() knows the keys and channels of an agent's Applications, and no others", () => {
  const tree = "app|resources-tree|edge-1_web|1.8.3.gz";
  const cases: [full: string, prefix: string, found: string | undefined][] = [
    [tree, "", `${tree} edge-1 web`],
    ["app|managed-resources|edge-1_web|1.8.3", "", "app|managed-resources|edge-1_web|1.8.3 edge-1 web"],
    ["app|resources-tree|web|1.8.3.gz", "", "app|resources-tree|web|1.8.3.gz  web"],
    [
      "app|resources-tree|edge-1_web.example|1.8.3",
      "",
      "app|resources-tree|edge-1_web.example|1.8.3 edge-1 web.example",
    ],
    [
      "app|resources-tree|edge-1_web|1|1.8.3.gz",
      "",
      "app|resources-tree|edge-1_web|1|1.8.3.gz edge-1 web sharded",
    ],
    [`hub:${tree}`, "hub:", `${tree} edge-1 web`],
    // A channel has no prefix.
    [tree, "hub:", `${tree} edge-1 web`],
    [`hub:${tree}`, "", undefined],
    ["app|managed-resources|edge-1_web|1|1.8.3", "", undefined],
    ["app|resources-tree|edge-1_web|0|1.8.3", "", undefined],
    ["app|resources-tree|edge-1_web|1|2|1.8.3", "", undefined],
    ["app|resources-tree|edge-1_web", "", undefined],
    ["app|resources-tree||1.8.3", "", undefined],
    ["app|resources-tree|_web|1.8.3", "", undefined],
    ["app|resources-tree|edge-1_|1.8.3", "", undefined],
    ["app|resources-tree|edge-1_a_b|1.8.3", "", undefined],
    ["app|resources-tree|Edge_web|1.8.3", "", undefined],
    ["app|other|edge-1_web|1.8.3", "", undefined],
    ["mfst|edge-1_web|1.8.3", "", undefined],
    ["cluster|info|https://x|1.8.3", "", undefined],
    ["", "", undefined],
    [`app|resources-tree|edge-1_web|${"1".repeat(600)}`, "", undefined],
  ];
  for (const [full, prefix, expected] of cases) {
    const found = applicationKey(full, prefix);
    const shown = found &&
      `${found.key} ${found.namespace} ${found.name}${found.sharded ? " sharded" : ""}`;
    assertEquals(shown, expected, full);
  }
});
