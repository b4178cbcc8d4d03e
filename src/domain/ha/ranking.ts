/**
 * Which side is the better one to serve. Both sides come to the same order, because it is made of facts that they tell each other: what a
 * store holds counts first, so that an emptied side never ranks above one with the data, then the epoch, then who serves.
 */
import type { Standing } from "./state.ts";

/** A store, as its side tells of it. */
export interface Holds {
  resources: number;
  /** The store has held a complete copy, or served. */
  complete: boolean;
  /** Told to serve although nothing was remembered: what is absent there may exist elsewhere. */
  unproven: boolean;
  /** The store was restored from an older copy. */
  older: boolean;
}

/** One side as it is ranked. */
export interface Side {
  at: "here" | "peer";
  standing: Standing;
  /** Undefined: an older release, or a Go principal. */
  holds: Holds | undefined;
}

/** The better side first. */
export function ranked(sides: readonly Side[]): Side[] {
  return [...sides].sort((a, b) =>
    worth(b) - worth(a) ||
    b.standing.epoch - a.standing.epoch ||
    Number(b.standing.state === "active") - Number(a.standing.state === "active") ||
    (b.holds?.resources ?? 0) - (a.holds?.resources ?? 0) ||
    (a.standing.uid < b.standing.uid ? -1 : 1)
  );
}

/** Whether a side holds nothing that would be worth serving while another one holds something. */
export function isEmpty({ holds }: Side): boolean {
  return holds !== undefined && holds.resources === 0 && (holds.unproven || !holds.complete);
}

function worth(side: Side): number {
  const { holds, standing } = side;
  if (isEmpty(side)) return 0;
  if (!holds) return standing.state === "active" ? 3 : 2;
  if (holds.unproven || !holds.complete) return 1;
  return holds.older || standing.state === "recovering" ? 2 : 4;
}

/** `complete, 1,204 resources`. */
export function holdsText(side: Side): string {
  const { holds } = side;
  if (!holds) return "does not say what it holds";
  if (isEmpty(side)) return "empty";
  const resources = `${holds.resources.toLocaleString("en-US")} ${
    holds.resources === 1 ? "resource" : "resources"
  }`;
  if (holds.unproven) return `told to serve by an operator while it remembered nothing, ${resources}`;
  if (holds.older) return `restored from an older copy, ${resources}`;
  return `${holds.complete ? "complete" : "never had a complete copy"}, ${resources}`;
}

/** A side in one line of the ranking. */
export function rankText(side: Side, where: string, equalAgoMs: number | undefined): string {
  const { name, state, epoch, version } = side.standing;
  const called = name ? `"${name}" (${where})` : where;
  const equal = equalAgoMs === undefined
    ? "last equal not known"
    : `last equal ${Math.ceil(equalAgoMs / 1_000)}s ago`;
  return [
    `${called}: ${(state || "in an unknown state").toUpperCase()}`,
    holdsText(side),
    `epoch ${epoch}`,
    equal,
    version ? `release ${version}` : "release not known",
  ].join(", ");
}
