/** The state diagram of the docs, printed from the table (Mermaid). */
import { TABLE } from "./transitions.ts";

/** Every row that can change the state, as one arrow from each of its states. */
export function diagram(): string {
  const lines = TABLE.flatMap((row) =>
    row.to === undefined ? [] : row.from.filter((from) => from !== row.to).map((from) => {
      const when = (row.when ?? []).map((guard) => guard.name).join(", ");
      return `  ${from.toUpperCase()} --> ${row.to?.toUpperCase()}: ${row.name}${when ? ` [${when}]` : ""}`;
    })
  );
  return ["stateDiagram-v2", "  [*] --> RECOVERING", ...lines].join("\n");
}

/** The whole table as Markdown. */
export function table(): string {
  const rows = TABLE.map((row) => {
    const from = row.from.length === 5 ? "any" : row.from.map((state) => state.toUpperCase()).join(", ");
    const to = row.refuse ? "refused" : row.to?.toUpperCase() ?? "stays";
    const when = (row.when ?? []).map((guard) => guard.name).join("; ");
    return `| ${row.name} | ${from} | ${row.on} | ${when} | ${to} |`;
  });
  return ["| row | from | input | guard | to |", "|---|---|---|---|---|", ...rows].join("\n");
}
