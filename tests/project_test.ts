/** Generated files are fresh, and nothing runs with all permissions. */
import { assert, assertEquals } from "@std/assert";
import { DOCUMENTS, PART_NAMES, refresh } from "../scripts/docs.ts";
import { generate } from "../scripts/proto.ts";

const root = new URL("../", import.meta.url).pathname;

Deno.test({
  name: "proto/gen.js and proto/gen.d.ts are what `deno task proto` makes of the .proto files",
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    const { js, dts } = await generate();
    assertEquals(Deno.readTextFileSync(`${root}proto/gen.js`), js, "run: deno task proto");
    assertEquals(Deno.readTextFileSync(`${root}proto/gen.d.ts`), dts, "run: deno task proto");
  },
});

Deno.test("the docs' diagram, tables of flags and of metrics are what the program prints", () => {
  const all = DOCUMENTS.map((path) => Deno.readTextFileSync(path)).join("");
  for (const name of PART_NAMES) {
    assert(all.includes(`<!-- ${name} -->`), `no document has the part "${name}"`);
  }
  for (const path of DOCUMENTS) {
    const text = Deno.readTextFileSync(path);
    assert(text.includes("<!-- end -->"), `${path} has no printed part`);
    assertEquals(text, refresh(text), `run: deno task docs (${path})`);
  }
});

Deno.test("no task, script or container runs with all permissions", () => {
  for (
    const file of [
      "deno.json",
      "Containerfile",
      ".ci/run",
      "scripts/run_tests.ts",
      "scripts/bundle.ts",
      "scripts/compile.ts",
    ]
  ) {
    const text = Deno.readTextFileSync(`${root}${file}`);
    assert(!/(^|\s|")(-A|--allow-all)(\s|"|$)/m.test(text), `${file} uses -A`);
  }
});
