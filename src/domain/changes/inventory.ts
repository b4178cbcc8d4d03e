/**
 * An index's contents by kind and agent, with a count and a digest for each group: two sides find where they differ
 * without sending their resources. (One level of a digest tree, as the digest table is, along lines that a person knows.)
 */
import { parseKey } from "../resources/keys.ts";
import { type Digest, DIGEST_BYTES, xor } from "./digest.ts";
import type { ChangeIndex, Entry } from "./index.ts";

/** The resources of one kind and, for Applications, of one namespace or agent. */
export interface Group {
  /** The API's kind. */
  kind: string;
  /** The namespace of Applications; empty for the principal's own resources. */
  agent: string;
  count: number;
  /** The XOR of its digests. */
  digest: Digest;
}

/** Names a group. */
export function groupName({ kind, agent }: Pick<Group, "kind" | "agent">): string {
  return `${kind}/${agent}`;
}

function groupOf({ key }: Pick<Entry, "key">): Pick<Group, "kind" | "agent"> {
  const { kind, namespace } = parseKey(key) ?? { kind: "", namespace: "" };
  return { kind, agent: kind === "Application" ? namespace : "" };
}

/** All groups of an index, by name. */
export function inventory(index: ChangeIndex): Map<string, Group> {
  const groups = new Map<string, Group>();
  for (const entry of index.live()) {
    const { kind, agent } = groupOf(entry);
    const name = groupName({ kind, agent });
    const group = groups.get(name) ?? { kind, agent, count: 0, digest: "0".repeat(DIGEST_BYTES * 2) };
    groups.set(name, { ...group, count: group.count + 1, digest: xor(group.digest, entry.digest) });
  }
  return groups;
}

/** The keys of some groups and their digests, at most `limit`. */
export function entriesOf(
  index: ChangeIndex,
  names: ReadonlySet<string>,
  limit: number,
): Map<string, Digest> {
  const found = new Map<string, Digest>();
  for (const entry of index.live()) {
    if (!names.has(groupName(groupOf(entry)))) continue;
    if (found.size === limit) break;
    found.set(entry.key, entry.digest);
  }
  return found;
}

/** The names of the groups that differ between two sides. */
export function differingGroups(a: ReadonlyMap<string, Group>, b: ReadonlyMap<string, Group>): string[] {
  return [...new Set([...a.keys(), ...b.keys()])].sort().filter((name) =>
    a.get(name)?.digest !== b.get(name)?.digest
  );
}
