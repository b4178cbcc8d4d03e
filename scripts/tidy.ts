/**
 * The design's own rules, as far as a program can see them:
 * - pure folders import only one another, their tests, and packages that do no I/O; no clock, timers or randomness;
 * - one folder may import a transport or client library, and no other;
 * - a file stays under 400 lines and a function under 70, or stands in the list below with its reason;
 * - nobody prints except the log and the command line's output.
 */

const PURE = ["src/domain"];
const PURE_PACKAGES = [
  "@std/json/canonicalize",
  "@std/path/glob-to-regexp",
  "@std/collections/sort-by",
  "microdiff",
];
/** Types of the generated messages carry no code. */
const PURE_TYPES = /proto\/gen\.d\.ts$/;
const IMPURE =
  /\b(Deno\.|Date\.now|new Date\(\)|performance\.|setTimeout|setInterval|queueMicrotask|Math\.random|crypto\.)/;

const OWNERS: [library: RegExp, folder: RegExp][] = [
  [/^@grpc\/grpc-js$/, /^src\/adapters\/grpc\//],
  [/^@kubernetes\/client-node$/, /^src\/adapters\/(kube|store)\//],
  [/^node:sqlite$/, /^src\/adapters\/store\/sqlite/],
  [/^hono$/, /^src\/(adapters\/http|serve\.ts)/],
  [/^prom-client$/, /^src\/adapters\/http/],
];

const MAX_FILE_LINES = 400;
const MAX_FUNCTION_LINES = 70;
/** Files and functions that may be longer, and why. */
const LONGER: Record<string, string> = {
  "src/domain/ha/transitions.ts": "the whole state machine is one table, read from top to bottom",
};
const MAY_PRINT = /^(src\/base\/log\.ts|src\/cli\/|scripts\/)/;

/** A broken rule. */
export interface Finding {
  file: string;
  line: number;
  rule: string;
}

/** Checks one file's text; `file` is its path from the project's root. */
export function check(file: string, text: string): Finding[] {
  const lines = text.split("\n");
  const found: Finding[] = [];
  const add = (index: number, rule: string) => found.push({ file, line: index + 1, rule });
  const isTest = file.endsWith("_test.ts") || file.startsWith("tests/");
  const pure = PURE.some((folder) => file.startsWith(`${folder}/`)) && !isTest;
  lines.forEach((line, i) => {
    const imported =
      /^\s*(?:import|export)\b.*?from "([^"]+)"|^\s*import "([^"]+)"|^} from "([^"]+)"|import\("([^"]+)"\)/
        .exec(line);
    const target = imported?.slice(1).find(Boolean);
    if (target && pure) {
      const problem = impureImport(file, target);
      if (problem) add(i, problem);
    }
    if (target && file.startsWith("src/") && !isTest) {
      for (const [library, owner] of OWNERS) {
        if (library.test(target) && !owner.test(file)) add(i, `only ${owner.source} may import ${target}`);
      }
    }
    const code = line.replace(/\/\/.*$|^\s*\*.*$|"[^"]*"|`[^`]*`/g, "");
    if (pure && IMPURE.test(code)) add(i, "a pure file uses a clock, timer, random number or the system");
    if (!MAY_PRINT.test(file) && file.startsWith("src/") && /\bconsole\./.test(code)) add(i, "stray console");
  });
  if (!(file in LONGER)) {
    if (lines.length > MAX_FILE_LINES) add(MAX_FILE_LINES, `longer than ${MAX_FILE_LINES} lines`);
    if (!isTest) found.push(...longFunctions(file, lines));
  }
  return found;
}

function impureImport(file: string, target: string): string | undefined {
  if (PURE_TYPES.test(target) || PURE_PACKAGES.includes(target)) return undefined;
  if (!target.startsWith(".")) return `a pure file imports ${target}`;
  const path = new URL(target, `file:///${file}`).pathname.slice(1);
  return [...PURE, "src/base"].some((folder) => path.startsWith(`${folder}/`))
    ? undefined
    : `a pure file imports ${path}`;
}

/** Functions and methods that begin at a line's indentation and end at the next brace of the same. */
function longFunctions(file: string, lines: string[]): Finding[] {
  const found: Finding[] = [];
  const head =
    /^(\s*)(?:export )?(?:async )?(?:function\*? |(?:static |async |private |override |\*|#)*[\w#]+\(.*\).*\{$)/;
  lines.forEach((line, i) => {
    const indent = head.exec(line)?.[1];
    if (indent === undefined || /^\s*(if|for|while|switch|return|await)\b/.test(line)) return;
    const length = lines.slice(i).findIndex((next) => next === `${indent}}` || next === `${indent}},`) + 1;
    if (length > MAX_FUNCTION_LINES) found.push({ file, line: i + 1, rule: `a function of ${length} lines` });
  });
  return found;
}

function* sources(folder: string): Generator<string> {
  for (const entry of Deno.readDirSync(folder)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) yield* sources(path);
    else if (path.endsWith(".ts")) yield path;
  }
}

/** Checks the project in a folder, which ends with a slash. */
export function checkProject(root: string): { files: number; found: Finding[] } {
  const files = [
    "main.ts",
    ...["src", "tests", "scripts"].flatMap((folder) => [...sources(`${root}${folder}`)]),
  ]
    .map((file) => file.replace(root, ""));
  const found = files.flatMap((file) => check(file, Deno.readTextFileSync(`${root}${file}`)));
  return { files: files.length, found };
}

if (import.meta.main) {
  const { files, found } = checkProject("./");
  for (const { file, line, rule } of found) console.error(`${file}:${line}: ${rule}`);
  console.log(`tidy: ${files} files, ${found.length} findings`);
  if (found.length > 0) Deno.exit(1);
}
