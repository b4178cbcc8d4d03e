/**
 * Writers beside replication on a standby: controllers that Argo CD runs there, people, GitOps of the hub itself. One change is repaired and
 * forgotten; a writer that changes a copy again and again is named, with the command that stops it.
 */

/** A writer is forgotten after this time without a change. */
const FORGET_MS = 600_000;
/** Changes of one copy from which a writer counts. */
const AGAIN = 2;
const MAX_WRITERS = 100;
const MAX_KEYS = 1_000;

/** A writer that keeps changing copies. */
export interface OtherWriter {
  /** Its field manager; empty: not known. */
  manager: string;
  changes: number;
  copies: number;
  /** The copy that it changed last. */
  key: string;
}

interface Known {
  lastMs: number;
  changes: number;
  key: string;
  again: boolean;
  readonly times: Map<string, number>;
}

/** Pure: times are arguments, in ms on one monotonic clock. */
export class OtherWriters {
  readonly #known = new Map<string, Known>();

  /** A writer changed a copy. True: it has just become one that does so again and again. */
  saw(manager: string, key: string, nowMs: number): boolean {
    this.#forget(nowMs);
    const known = this.#known.get(manager) ?? { lastMs: 0, changes: 0, key, again: false, times: new Map() };
    if (this.#known.size >= MAX_WRITERS && !this.#known.has(manager)) return false;
    this.#known.set(manager, known);
    const times = (known.times.get(key) ?? 0) + 1;
    if (known.times.size < MAX_KEYS || known.times.has(key)) known.times.set(key, times);
    Object.assign(known, { lastMs: nowMs, changes: known.changes + 1, key });
    if (known.again || times < AGAIN) return false;
    return known.again = true;
  }

  /** Those that changed a copy more than once lately. */
  list(nowMs: number): OtherWriter[] {
    this.#forget(nowMs);
    return [...this.#known].filter(([, { again }]) => again).map(([manager, { changes, times, key }]) => ({
      manager,
      changes,
      copies: times.size,
      key,
    }));
  }

  /** This side serves, or its copy is compared anew. */
  clear(): void {
    this.#known.clear();
  }

  #forget(nowMs: number): void {
    for (const [manager, { lastMs }] of this.#known) {
      if (nowMs - lastMs > FORGET_MS) this.#known.delete(manager);
    }
  }
}

/** Argo CD's controllers by their field managers, and how each is deployed. */
const CONTROLLERS: Readonly<Record<string, string>> = {
  "argocd-application-controller": "statefulset argocd-application-controller",
  "argocd-applicationset-controller": "deployment argocd-applicationset-controller",
  "argocd-notifications-controller": "deployment argocd-notifications-controller",
  "argocd-server": "deployment argocd-server",
};

/** The command that stops a writer on a standby, or shows what it writes. @param namespace Argo CD's */
export function commandAgainst({ manager, key }: OtherWriter, namespace: string): string {
  const controller = Object.hasOwn(CONTROLLERS, manager) ? CONTROLLERS[manager] : undefined;
  if (controller) return `kubectl -n ${namespace} scale ${controller} --replicas=0`;
  const [kind = "", place = "", name = ""] = key.split("/");
  return `kubectl -n ${place} get ${kind.toLowerCase()} ${name} -o yaml --show-managed-fields`;
}

/** A writer for a person, with the command. */
export function writerLine(writer: OtherWriter, namespace: string): string {
  const { manager, changes, copies, key } = writer;
  const times = (n: number, one: string, many: string) =>
    `${n.toLocaleString("en-US")} ${n === 1 ? one : many}`;
  const who = manager === "" ? "an unknown writer" : `"${manager}"`;
  return `${who} changed ${times(copies, "copy", "copies")} ${
    times(changes, "time", "times")
  }, ${key} last: ` +
    commandAgainst(writer, namespace);
}
