/**
 * The rules that one file alone can break. Each finding names the fault and then the remedy, so that the reader
 * knows what to do instead without asking.
 */
import { admits, IMPURE, OWNERS, PURE, PURE_PACKAGES, roomOf, ROOMS } from "./rooms.ts";
import { type Import, imports, lineOf, mask, type Masked } from "./source.ts";

export type Rule =
  | "arrow"
  | "circle"
  | "owner"
  | "pure"
  | "one way"
  | "map"
  | "print"
  | "file length"
  | "function length"
  | "header"
  | "sentence"
  | "reference"
  | "machine";

/** A broken rule. */
export interface Finding {
  file: string;
  line: number;
  rule: Rule;
  fault: string;
  /** The alternative. */
  remedy: string;
}

export const MAX_FILE_LINES = 400;
export const MAX_FUNCTION_LINES = 70;
export const MAX_HEADER_LINES = 5;
/** Files that may be longer, and why. */
const LONGER: Record<string, string> = {
  "src/domain/ha/transitions.ts": "the whole state machine is one table, read from top to bottom",
};
const MAY_PRINT = /^(src\/base\/log\.ts|src\/cli\/|scripts\/)/;
const SYSTEM =
  /\b(Deno\.|Date\.now|new Date\(\)|performance\.|setTimeout|setInterval|queueMicrotask|Math\.random|crypto\.)/g;

/** Code that belongs in one file only, and its remedy elsewhere. */
const ONE_WAY: { code: RegExp; fault: string; files: RegExp; remedy: string }[] = [
  {
    code: /\bperformance\.now\(/g,
    fault: "reads the monotonic clock itself",
    files: /^src\/base\/clock\.ts$/,
    remedy: "call monotonicMs() of src/base/clock.ts, or take the time as an argument",
  },
  {
    code: /\b(?:createHash|hash)\(\s*"/g,
    fault: "hashes by itself",
    files: /^src\/base\/sha256\.ts$/,
    remedy: "call sha256 of src/base/sha256.ts",
  },
  {
    code: /\(\w+ as Error\)\.message/g,
    fault: "reads an error's message by itself",
    files: /^src\/base\/reason\.ts$/,
    remedy: "call reasonOf() of src/base/reason.ts, which also shortens what the operating system says",
  },
  {
    code: /\b(?:JSON\.parse|canonicalize|structuredClone|isDeepStrictEqual)\(/g,
    fault: "takes numbers for doubles",
    files: /^src\/base\/json\.ts$/,
    remedy: "call parseJson, canonicalJson, cloneJson or sameJson of src/base/json.ts",
  },
  {
    code: /\.addEventListener\(/g,
    fault: "would not hear of an abort that came before",
    files: /^src\/(?:base\/abort|adapters\/kube\/port_forward)\.ts$/,
    remedy: "call onAbort() of src/base/abort.ts",
  },
  {
    // With an escaped text alone it is no pattern from outside.
    code: /\bnew RegExp\((?![^)]*RegExp\.escape)/g,
    fault: "compiles an expression that may backtrack for ever",
    files: /^src\/base\/pattern\.ts$/,
    remedy: "compile it with Pattern.of() of src/base/pattern.ts",
  },
];

export const isTest = (file: string) => file.endsWith("_test.ts") || file.startsWith("tests/");

/** The file that an import names, from the project's root; undefined for a package. */
export function resolve(file: string, target: string): string | undefined {
  return target.startsWith(".") ? new URL(target, `file:///${file}`).pathname.slice(1) : undefined;
}

/** Checks one file's text; `file` is its path from the project's root. */
export function check(file: string, text: string): Finding[] {
  const masked = mask(text);
  const found: Finding[] = [];
  const add = (line: number, rule: Rule, fault: string, remedy: string) =>
    found.push({ file, line, rule, fault, remedy });
  if (file.startsWith("src/") && !isTest(file)) {
    for (const one of imports(masked)) checkImport(file, one, add);
    checkCode(file, masked, add);
  }
  checkHeader(masked, add);
  checkLength(file, text.split("\n"), add);
  return found;
}

type Add = (line: number, rule: Rule, fault: string, remedy: string) => void;

function checkImport(file: string, { target, line }: Import, add: Add) {
  if (target === undefined) {
    return add(
      line,
      "arrow",
      "imports a computed name",
      "write the name as a string, so that tidy can read it",
    );
  }
  for (const { library, files, remedy } of OWNERS) {
    if (library.test(target) && !files.test(file)) {
      add(line, "owner", `only ${files.source.replaceAll("\\", "")} may import ${target}`, remedy);
    }
  }
  const path = resolve(file, target);
  if (path === undefined) {
    if (PURE.test(file) && !(file in IMPURE) && !PURE_PACKAGES.test(target)) {
      add(line, "pure", `a pure file imports ${target}`, "take what it computes as an argument");
    }
    return;
  }
  const [from, to] = [roomOf(file), roomOf(path)];
  const room = ROOMS.find(({ name }) => name === from);
  if (!room) {
    return add(
      line,
      "arrow",
      `${file} stands in no room`,
      "move it into one, or add a room to scripts/tidy/rooms.ts",
    );
  }
  if (!admits(room, to)) add(line, "arrow", `${from} may not import ${to} (${path})`, room.remedy);
}

function checkCode(file: string, { code, strings }: Masked, add: Add) {
  const found = (pattern: RegExp, report: (line: number, text: string) => void) => {
    for (const match of code.matchAll(pattern)) report(lineOf(code, match.index), match[0]);
  };
  if (PURE.test(file) && !(file in IMPURE)) {
    found(
      SYSTEM,
      (line, text) =>
        add(
          line,
          "pure",
          `a pure file uses ${text}`,
          "take the time, the random number or the bytes as an argument",
        ),
    );
  }
  if (!MAY_PRINT.test(file)) {
    found(
      /\bconsole\.\w+/g,
      (line, text) =>
        add(line, "print", `prints with ${text}`, "write to the Log that it is given (src/base/log.ts)"),
    );
  }
  checkMaps(code, add);
  for (const way of ONE_WAY) {
    if (way.files.test(file)) continue;
    for (const match of code.matchAll(way.code)) {
      const argument = strings.get(match.index + match[0].length - 1);
      if (argument !== undefined && argument !== "sha256") continue;
      add(lineOf(code, match.index), "one way", way.fault, way.remedy);
    }
  }
}

/** `const NAME: Record<string, …>`; the value, where it is written here. */
const RECORD = /\bconst (\w+): (?:Readonly<)?Record<string, [^=;]*? = (\{\};)?/g;

/** An object used as a map has `constructor` and `__proto__` before anything is put into it, and names come from outside. */
function checkMaps(code: string, add: Add) {
  for (const { 1: name = "", 2: empty, index } of code.matchAll(RECORD)) {
    const lookedUp = new RegExp(`\\b${name}\\[[A-Za-z_]`).test(code);
    if ((!empty && !lookedUp) || code.includes(`Object.hasOwn(${name},`)) continue;
    add(
      lineOf(code, index),
      "map",
      `${name} is an object used as a map`,
      "use a Map, or ask Object.hasOwn first: a name from outside may be `constructor`",
    );
  }
}

/** Comments: a short header, and sentences that begin with the name of their subject. */
function checkHeader({ code, comments }: Masked, add: Add) {
  const header = comments[0];
  if (header?.text.startsWith("/**") && code.slice(0, header.position).trim() === "") {
    const lines = header.text.split("\n").filter((line) => /\w/.test(line)).length;
    if (lines > MAX_HEADER_LINES) {
      add(
        1,
        "header",
        `a header of ${lines} lines`,
        `say why, the intuition and the invariant in ${MAX_HEADER_LINES}; docs/architecture.md has room for the rest`,
      );
    }
  }
  for (const { text, position } of comments) {
    const start = /^\/\*\*[\s*]*(What(?! if\b)|Whoever|Who|One that|It)\b/.exec(text);
    if (!start) continue;
    add(
      lineOf(code, position),
      "sentence",
      `a comment begins with "${start[1]}"`,
      "begin with the name of the thing",
    );
  }
}

function checkLength(file: string, lines: string[], add: Add) {
  if (file in LONGER) return;
  if (lines.length > MAX_FILE_LINES) {
    add(
      MAX_FILE_LINES,
      "file length",
      `${lines.length} lines, more than ${MAX_FILE_LINES}`,
      "split it where one concept ends, or give its reason in LONGER of scripts/tidy/rules.ts",
    );
  }
  if (isTest(file)) return;
  for (const { line, length } of functions(lines)) {
    if (length <= MAX_FUNCTION_LINES) continue;
    add(
      line,
      "function length",
      `a function of ${length} lines, more than ${MAX_FUNCTION_LINES}`,
      "give each step a function with a name, or turn the cases into rows of a table",
    );
  }
}

/** Functions and methods that begin at a line's indentation and end at the next brace of the same. */
function functions(lines: string[]): { line: number; length: number }[] {
  const head =
    /^(\s*)(?:export )?(?:async )?(?:function\*? |(?:static |async |private |override |\*|#)*[\w#]+\(.*\).*\{$)/;
  return lines.flatMap((line, i) => {
    const indent = head.exec(line)?.[1];
    if (indent === undefined || /^\s*(if|for|while|switch|return|await)\b/.test(line)) return [];
    const end = lines.slice(i).findIndex((next) => next === `${indent}}` || next === `${indent}},`);
    return [{ line: i + 1, length: end + 1 }];
  });
}
