/** tidy finds nothing in the project, finds each rule broken in a bad sample, and says what to do instead. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { checkProject, EXCEPTIONS } from "../scripts/tidy.ts";
import { circles } from "../scripts/tidy/circles.ts";
import { checkReferences } from "../scripts/tidy/references.ts";
import { ROOMS } from "../scripts/tidy/rooms.ts";
import { check } from "../scripts/tidy/rules.ts";
import { imports, mask } from "../scripts/tidy/source.ts";

const root = new URL("../", import.meta.url).pathname;

/** A bad file, its text, the rule, the fault, and a word of the remedy. */
const BAD: [file: string, text: string, rule: string, fault: string, remedy: string][] = [
  [
    "src/principal/core/x.ts",
    'import { Server } from "../../adapters/grpc/server.ts";',
    "arrow",
    "principal/core may not import adapters/grpc (src/adapters/grpc/server.ts)",
    "name a small interface",
  ],
  [
    "src/principal/active/x.ts",
    'export type { Follow } from "../replica/follow.ts";',
    "arrow",
    "principal/active may not import principal/replica (src/principal/replica/follow.ts)",
    "name a small interface",
  ],
  [
    "src/principal/replica/x.ts",
    'type Fleet = import("../active/fleet.ts").Fleet;',
    "arrow",
    "principal/replica may not import principal/active (src/principal/active/fleet.ts)",
    "name a small interface",
  ],
  [
    "src/adapters/http/x.ts",
    'import type {\n  Driver,\n} from "../../principal/core/driver.ts";',
    "arrow",
    "adapters/http may not import principal/core (src/principal/core/driver.ts)",
    "in principal/ports",
  ],
  [
    "src/domain/changes/x.ts",
    'import { step } from "../ha/machine.ts";',
    "arrow",
    "domain/changes may not import domain/ha (src/domain/ha/machine.ts)",
    "as an argument",
  ],
  [
    "src/base/x.ts",
    'import { KINDS } from "../domain/resources/kinds.ts";',
    "arrow",
    "base may not import domain/resources (src/domain/resources/kinds.ts)",
    "move the file",
  ],
  ["src/elsewhere/x.ts", 'import "./y.ts";', "arrow", "src/elsewhere/x.ts stands in no room", "add a room"],
  [
    "src/cli/x.ts",
    "const of: Record<string, number> = { a: 1 };\nconst b = of[name];",
    "map",
    "of is an object used as a map",
    "use a Map",
  ],
  [
    "src/cli/x.ts",
    "const of: Record<string, number> = {};",
    "map",
    "of is an object used as a map",
    "use a Map",
  ],
  ["src/cli/x.ts", "await import(name);", "arrow", "imports a computed name", "as a string"],
  [
    "src/adapters/store/x.ts",
    'import { Config } from "@kubernetes/client-node/dist/config_types.js";',
    "owner",
    "only ^src/adapters/kube/client_node_internals.ts$ may import @kubernetes/client-node/dist/config_types.js",
    "src/adapters/kube/dynamic_client.ts",
  ],
  [
    "src/adapters/store/x.ts",
    'const api = await import(\n  "@kubernetes/client-node"\n);',
    "owner",
    "only ^src/adapters/kube/client_node_internals.ts$ may import @kubernetes/client-node",
    "src/adapters/kube/dynamic_client.ts",
  ],
  [
    "src/adapters/http/x.ts",
    'import grpc from "@grpc/grpc-js";',
    "owner",
    "only ^src/adapters/grpc/ may import @grpc/grpc-js",
    "through a port",
  ],
  [
    "src/adapters/store/x.ts",
    'import { DatabaseSync } from "node:sqlite";',
    "owner",
    "only ^src/adapters/store/sqlite may import node:sqlite",
    "take a Store",
  ],
  [
    "src/domain/ha/x.ts",
    'import { hash } from "node:crypto";',
    "pure",
    "a pure file imports node:crypto",
    "as an argument",
  ],
  [
    "src/domain/changes/x.ts",
    "const now = Date.now();",
    "pure",
    "a pure file uses Date.now",
    "as an argument",
  ],
  ["src/base/x.ts", "setTimeout(run, 5);", "pure", "a pure file uses setTimeout", "as an argument"],
  ["src/principal/core/x.ts", "console.log(1);", "print", "prints with console.log", "the Log"],
  ["src/cli/x.ts", "performance.now();", "one way", "reads the monotonic clock itself", "monotonicMs()"],
  ["src/cli/x.ts", "JSON.parse(text);", "one way", "takes numbers for doubles", "parseJson"],
  [
    "src/cli/x.ts",
    "new RegExp(text);",
    "one way",
    "compiles an expression that may backtrack for ever",
    "Pattern.of()",
  ],
  ["src/cli/x.ts", 'hash("sha256", text);', "one way", "hashes by itself", "src/base/sha256.ts"],
  [
    "src/cli/x.ts",
    "(error as Error).message;",
    "one way",
    "reads an error's message by itself",
    "reasonOf()",
  ],
  [
    "src/cli/x.ts",
    `function long() {\n${"  x();\n".repeat(80)}}`,
    "function length",
    "a function of 82 lines, more than 70",
    "give each step a function",
  ],
  ["src/cli/x.ts", "x();\n".repeat(400), "file length", "401 lines, more than 400", "split it"],
  ["src/cli/x.ts", `/**\n${" * x\n".repeat(6)} */`, "header", "a header of 6 lines", "say why"],
  ["src/cli/x.ts", "/** What it is. */", "sentence", 'a comment begins with "What"', "the name of the thing"],
];

Deno.test("check() finds each rule broken in a bad file, and names the remedy", () => {
  for (const [file, text, rule, fault, remedy] of BAD) {
    const found = check(file, text);
    assertEquals(found.map((one) => [one.rule, one.fault]), [[rule, fault]], file);
    assertStringIncludes(found[0]!.remedy, remedy);
  }
});

Deno.test("check() lets tests import what they like", () => {
  const text = 'import { hash } from "node:crypto"; import "../../adapters/grpc/server.ts";';
  assertEquals(check("src/domain/ha/x_test.ts", text), []);
});

Deno.test("imports() reads every form of import, and none out of a comment, string or template", () => {
  const text = [
    'import a, {\n  b,\n} from "./1.ts";',
    'export * from "./2.ts";',
    'import "./3.ts";',
    'const c = `${await import("./4.ts")} import "./no.ts"`;',
    'type D = import("./5.ts").D;',
    "// import './no.ts'",
    'const e = \'import "./no.ts"\', f = /"/, g = 1 / 2;',
    '/* import "./no.ts" */ import h from "./6.ts";',
    "const i = import(name);",
  ].join("\n");
  const found = imports(mask(text));
  assertEquals(
    found.map(({ target }) => target),
    [1, 2, 3, 4, 5, 6].map((n) => `./${n}.ts`).concat([undefined!]),
  );
  assertEquals(found.map(({ line }) => line), [3, 4, 5, 6, 7, 10, 11]);
});

Deno.test("circles() finds the shortest way around, types included", () => {
  const graph = new Map(Object.entries({ a: ["b"], b: ["c", "d"], c: ["a", "b"], d: ["e"], e: [] }));
  assertEquals(circles(graph), [["b", "c", "b"]]);
  assertEquals(circles(new Map([["a", ["b"]], ["b", []]])), []);
});

Deno.test("checkReferences() finds what is not in the tree, and paths of one machine", () => {
  const tree = new Set(["docs/a.md", "src/base/clock.ts"]);
  const faults = (file: string, text: string) => checkReferences(file, text, tree).map((one) => one.fault);
  assertEquals(faults("docs/b.md", "[a](a.md), `src/base/clock.ts`, clock.ts, src/base"), []);
  assertEquals(faults("docs/b.md", "see [b](gone.md)"), ["names docs/gone.md, which is not in the tree"]);
  assertEquals(faults("src/x.ts", "// as src/other/y.ts says"), [
    "names src/other/y.ts, which is not in the tree",
  ]);
  assertEquals(faults("src/x.ts", `// the contract, ${"§"}3.5`), [
    `names ${"§"}3.5, which is not in the tree`,
  ]);
  assertEquals(faults("src/x.ts", `const path = "${"/"}work/x";`), [`names ${"/"}work/`]);
});

Deno.test("tidy finds nothing in the project", () => {
  const { found, files } = checkProject(root);
  assertEquals(found, []);
  assert(files > 200, "tidy looked at the whole tree");
});

Deno.test("checkProject() tells an exception that is not needed any more", () => {
  const { found } = checkProject(root, [...EXCEPTIONS, { rule: "print", file: "main.ts", reason: "a test" }]);
  assertEquals(found.map(({ fault }) => fault), ['does not break the rule "print" any more']);
});

Deno.test("each room's door exists", () => {
  for (const { door } of ROOMS) assert(Deno.statSync(`${root}${door}`).isFile, door);
});
