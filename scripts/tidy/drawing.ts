/** The drawing and the table of the rooms in docs/architecture.md, from the same data that tidy checks. */
import { ROOMS } from "./rooms.ts";

/** A folder with several rooms that is drawn as one box; principal's rooms are drawn one by one. */
const zoneOf = (room: string) =>
  room.replace(/^(domain|adapters)\/.*/, "$1").replace(/^principal\/$/, "principal");
const label = (zone: string) => zone.replace(/^principal\/(?=\w+\.ts$)/, "");
const id = (zone: string) => label(zone).replace(/[/.]/g, "_");

/** A mermaid flowchart: an arrow points at what may be imported. base and domain, which all may, have none. */
export function drawing(): string {
  const zones = [...new Set(ROOMS.map(({ name }) => zoneOf(name)))];
  const inside = zones.filter((zone) => zone.startsWith("principal/"));
  const box = (zone: string) => `${id(zone)}["${label(zone)}"]`;
  const targets = (name: string, one: string) =>
    one === "principal/" && name.startsWith(one)
      ? inside.filter((room) => room !== name)
      : [zoneOf(one.replace(/\/$/, ""))];
  const arrows = ROOMS.flatMap(({ name, imports }) =>
    imports.flatMap((one) => targets(name, one)).map((to) => [zoneOf(name), to] as const)
      .filter(([from, to]) =>
        from !== to && zones.concat("principal").includes(to) && !["base", "domain"].includes(to)
      )
      .map(([from, to]) => `  ${id(from)} --> ${id(to)}`)
  );
  return [
    "flowchart TD",
    ...zones.filter((zone) => !inside.includes(zone)).map((zone) => `  ${box(zone)}`),
    "  subgraph principal",
    ...inside.map((zone) => `    ${box(zone)}`),
    "  end",
    ...new Set(arrows),
  ].join("\n");
}

/** The rooms as a Markdown table: concept, door, and who may be imported. */
export function roomTable(): string {
  const rows = ROOMS.map(({ name, concept, door, imports }) => {
    const file = door.split("/").at(-1);
    const may = imports.filter((one) => one !== name).map((one) => `\`${one.replace(/\/$/, "/*")}\``).join(
      ", ",
    );
    return `| \`${name}\` | ${concept} | [${file}](../${door}) | ${may || "nothing"} |`;
  });
  return ["| room | concept | door | may import |", "|---|---|---|---|", ...rows].join("\n");
}
