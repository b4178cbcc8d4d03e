/**
 * `deno task docs`: the parts of docs/ that are printed from the program: the rooms, the state diagram and the table in
 * architecture.md, flags, environment, metrics and events of the log in reference.md, rights in security.md, verbs in cli.md; and the alerts as objects of
 * the Prometheus operator. A test fails when they are stale.
 */
import { LOG_EVENTS } from "../src/base/log_events.ts";
import { diagram, table } from "../src/domain/ha/diagram.ts";
import { Measurements } from "../src/adapters/http/measurements.ts";
import { PROCESS } from "../src/adapters/http/metrics.ts";
import { METRICS } from "../src/principal/core/metrics.ts";
import { agentsBounds, connectionsTable, cutsTable } from "../src/adapters/net/listener_bounds.ts";
import { callBoundsTable } from "../src/adapters/grpc/call_bounds.ts";
import { identitiesTable, rightsTable } from "../src/adapters/grpc/rights.ts";
import { envOf } from "../src/config/flag.ts";
import { FLAGS } from "../src/config/flags.ts";
import { printRules } from "./alerts.ts";
import { commandsReference } from "./docs/commands.ts";
import { drawing, roomTable } from "./tidy/drawing.ts";

const root = new URL("../", import.meta.url).pathname;

/** Text in a cell of a Markdown table. */
const cell = (text: string) => text.replaceAll("|", "\\|");

const flagRows = () =>
  FLAGS.map((flag) =>
    `| \`--${flag.name}\` | \`${envOf(flag)}\` | ${flag.type} | ${
      flag.default ? `\`${flag.default}\`` : ""
    } | ${cell(flag.help)} |`
  );

const defaultOf = (name: string) => Number(FLAGS.find((flag) => flag.name === name)?.default);

const FLAG_HEAD = ["| flag | environment | type | default | meaning |", "|---|---|---|---|---|"];

/** Marker names and what stands between their comments. */
const PARTS: Record<string, () => string> = {
  drawing: () => "```mermaid\n" + drawing() + "\n```",
  rooms: () => roomTable(),
  diagram: () => "```mermaid\n" + diagram() + "\n```",
  transitions: () => table(),
  flags: () => [...FLAG_HEAD, ...flagRows()].join("\n"),
  identities: () => identitiesTable(),
  rights: () => rightsTable(),
  connections: () =>
    connectionsTable(
      agentsBounds(defaultOf("max-connections"), defaultOf("max-connections-per-source")),
    ),
  cuts: () => cutsTable(),
  "call bounds": () => callBoundsTable(),
  commands: () => commandsReference(),
  "log events": () =>
    [
      "| event | meaning |",
      "|---|---|",
      ...Object.entries(LOG_EVENTS).map(([name, help]) => `| \`${name}\` | ${help} |`),
    ]
      .join("\n"),
  metrics: () =>
    [
      "| series | type | meaning |",
      "|---|---|---|",
      ...[...PROCESS, ...new Measurements().described, ...Object.values(METRICS)].map((s) =>
        `| \`${s.name}\` | ${s.type} | ${s.help} |`
      ),
    ]
      .join("\n"),
};

/** The names of the printed parts; each stands in one of the documents. */
export const PART_NAMES = Object.keys(PARTS);

/** A document with every printed part as the program prints it now. */
export function refresh(text: string): string {
  return Object.entries(PARTS).reduce((document, [name, print]) => {
    const between = new RegExp(`(<!-- ${name} -->\n)[^]*?(<!-- end -->)`);
    return document.replace(between, (_, open, close) => `${open}\n${print()}\n\n${close}`);
  }, text);
}

export const DOCUMENTS = ["docs/architecture.md", "docs/cli.md", "docs/reference.md", "docs/security.md"].map(
  (path) => `${root}${path}`,
);

if (import.meta.main) {
  for (const path of DOCUMENTS) Deno.writeTextFileSync(path, refresh(Deno.readTextFileSync(path)));
  printRules();
}
