/**
 * `deno task tidy`: the rules of the house, as far as a program can see them. The tables are in `tidy/rooms.ts`; each
 * finding names its remedy. `--list` also prints what the exceptions below let pass.
 */
import { circles, type Graph } from "./tidy/circles.ts";
import { checkReferences } from "./tidy/references.ts";
import { check, type Finding, isTest, resolve, type Rule } from "./tidy/rules.ts";
import { imports, mask } from "./tidy/source.ts";

/** A rule that one file may break for now, and why; one that is not broken any more must go. */
interface Exception {
  rule: Rule;
  file: string;
  reason: string;
}

export const EXCEPTIONS: Exception[] = [];

const TEXTS = /\.(ts|md|yaml|json)$|(^|\/)Containerfile$|^\.ci\//;
const SKIPPED = /^(\.git|node_modules|dist|argocd-agent-ha-data)$/;
const GENERATED = /^proto\/gen\.|^deno\.lock$/;

function* walk(root: string, folder = ""): Generator<string> {
  for (const entry of Deno.readDirSync(`${root}${folder}`)) {
    const path = `${folder}${entry.name}`;
    if (entry.isDirectory && !SKIPPED.test(entry.name)) yield* walk(root, `${path}/`);
    else if (entry.isFile) yield path;
  }
}

/** The findings in a project, and its figures. */
export interface Report {
  files: number;
  found: Finding[];
  /** Findings that an exception lets pass. */
  excepted: Finding[];
  /** The median length of src's files that are no tests, in lines. */
  medianLines: number;
}

/** Checks the project in a folder, which ends with a slash. */
export function checkProject(root: string, exceptions = EXCEPTIONS): Report {
  const tree = [...walk(root)].sort();
  const known = new Set(tree);
  const texts = new Map(
    tree.filter((file) => TEXTS.test(file) && !GENERATED.test(file))
      .map((file) => [file, Deno.readTextFileSync(`${root}${file}`)]),
  );
  const all = [...texts].flatMap(([file, text]) => [
    ...(file.endsWith(".ts") ? check(file, text) : []),
    ...checkReferences(file, text, known),
  ]);
  all.push(...circleFindings(texts));
  const excepts = (one: Finding) =>
    exceptions.find(({ rule, file }) => rule === one.rule && file === one.file);
  const excepted = all.filter(excepts);
  const stale = exceptions.filter(({ rule, file }) =>
    !all.some((one) => one.rule === rule && one.file === file)
  );
  const lengths = [...texts].filter(([file]) => /^src\/.*\.ts$/.test(file) && !isTest(file))
    .map(([, text]) => text.split("\n").length - 1).sort((a, b) => a - b);
  return {
    files: texts.size,
    excepted,
    found: [
      ...all.filter((one) => !excepts(one)),
      ...stale.map(({ rule, file }) => ({
        file,
        line: 1,
        rule,
        fault: `does not break the rule "${rule}" any more`,
        remedy: "delete its line from EXCEPTIONS of scripts/tidy.ts",
      })),
    ],
    medianLines: lengths[Math.floor(lengths.length / 2)] ?? 0,
  };
}

function circleFindings(texts: Map<string, string>): Finding[] {
  const graph: Graph = new Map();
  for (const [file, text] of texts) {
    if (!file.startsWith("src/") || !file.endsWith(".ts") || isTest(file)) continue;
    const targets = imports(mask(text)).map(({ target }) => target && resolve(file, target));
    graph.set(file, targets.filter((path): path is string => path !== undefined && texts.has(path)));
  }
  return circles(graph).map((way) => ({
    file: way[0]!,
    line: 1,
    rule: "circle",
    fault: `a circle of imports: ${way.join(" -> ")}`,
    remedy:
      "move what both need into a file of its own, or let one name a small interface that the other satisfies",
  }));
}

if (import.meta.main) {
  const { files, found, excepted, medianLines } = checkProject("./");
  const print = (one: Finding) => `${one.file}:${one.line}: ${one.fault}; ${one.remedy} [${one.rule}]`;
  for (const one of found) console.error(print(one));
  if (Deno.args.includes("--list")) { for (const one of excepted) console.log(`excepted: ${print(one)}`); }
  console.log(
    `tidy: ${files} files, ${found.length} findings, ${excepted.length} excepted; median of src ${medianLines} lines`,
  );
  if (found.length > 0) Deno.exit(1);
}
