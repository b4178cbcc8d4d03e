/** The project's own rules: generated files are fresh, the design's rules hold, and the checks themselves can fail. */
import { assert, assertEquals } from "@std/assert";
import { DOCUMENTS, PART_NAMES, refresh } from "../scripts/docs.ts";
import { generate } from "../scripts/proto.ts";
import { check, checkProject } from "../scripts/tidy.ts";

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

Deno.test("tidy finds nothing in the project, and finds each rule broken in a bad file", () => {
  const bad: [string, string, string][] = [
    ["src/domain/ha/x.ts", 'import { hash } from "node:crypto";', "a pure file imports node:crypto"],
    [
      "src/domain/ha/x.ts",
      'import { openSqlite } from "../../adapters/store/sqlite.ts";',
      "a pure file imports src/adapters/store/sqlite.ts",
    ],
    [
      "src/domain/changes/x.ts",
      "const now = Date.now();",
      "a pure file uses a clock, timer, random number or the system",
    ],
    [
      "src/adapters/http/x.ts",
      'import grpc from "@grpc/grpc-js";',
      "only ^src\\/adapters\\/grpc\\/ may import @grpc/grpc-js",
    ],
    ["src/principal/core/x.ts", 'console.log("x");', "stray console"],
    ["src/cli/x.ts", `function long() {\n${"  x();\n".repeat(80)}}`, "a function of 82 lines"],
    ["src/cli/x.ts", "x();\n".repeat(401), "longer than 400 lines"],
  ];
  for (const [file, text, rule] of bad) assertEquals(check(file, text).map((one) => one.rule), [rule]);
  assertEquals(checkProject(root).found, []);
  assertEquals(check("src/domain/ha/x_test.ts", 'import { hash } from "node:crypto";'), []);
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
