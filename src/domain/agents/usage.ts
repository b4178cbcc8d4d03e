/**
 * How much each agent has here: derived from the index, so a restart and the next ACTIVE know it too. A write counts from when it begins,
 * so that writes beside each other cannot exceed a bound together. Invariant: a key is charged to one agent at a time.
 */
import { byteLength } from "../../base/bounds.ts";
import type { Entry } from "../changes/index.ts";
import type { Key } from "../resources/keys.ts";
import type { ApiObject } from "../resources/object.ts";
import { agentOf, type Scope } from "../resources/scope.ts";
import { ownerOf } from "./ownership.ts";
import type { AgentId } from "./view.ts";

/** Objects, and their bytes as canonical JSON in UTF-8. */
export interface Amount {
  objects: number;
  bytes: number;
}

/** The bounds of an agent, and of all agents together; 0: none. */
export interface AgentBounds extends Amount {
  totalBytes: number;
}

/** The objects and bytes of one agent. */
export interface AgentUsage extends AgentId, Amount {}

interface Charge {
  id: AgentId;
  bytes: number;
  /** The version of that state; of a write that is under way it is not known. */
  version?: string;
}

/** Of one key: as the index has it, and as a write is about to make it. */
interface Charges {
  shown?: Charge;
  ahead?: Charge;
}

/**
 * Whose an object is in this count: what an autonomous agent brought has its stamp; another Application is its managed agent's, which
 * writes its status.
 */
export function chargedTo(object: ApiObject, scope: Scope): AgentId | undefined {
  if (object.kind !== "Application" && object.kind !== "AppProject") return undefined;
  const owner = ownerOf(object);
  if (owner !== "") return { name: owner, mode: "autonomous" };
  const name = object.kind === "Application" ? agentOf(object, scope) : "";
  return name === "" ? undefined : { name, mode: "managed" };
}

export class Usage {
  readonly #charges = new Map<Key, Charges>();
  readonly #totals = new Map<string, AgentUsage>();
  #bytes = 0;

  constructor(private readonly scope: Scope) {}

  /** Takes one change of the index; undefined: the object is gone. An older state than an announced one does not end that. */
  take({ key, payload, version }: Pick<Entry, "key" | "payload" | "version">, object?: ApiObject): void {
    const id = object && chargedTo(object, this.scope);
    const { ahead } = this.#charges.get(key) ?? {};
    this.#charge(key, {
      ...(id ? { shown: { id, bytes: byteLength(payload), version } } : {}),
      ...(ahead && !isReached(ahead, version) ? { ahead } : {}),
    });
  }

  /** A write of this key is about to begin, which makes it the agent's and so large. */
  announce(key: Key, id: AgentId, bytes: number): void {
    this.#charge(key, { ...this.#charges.get(key), ahead: { id, bytes } });
  }

  /** The announced write made this version, which counts until the index has it. */
  written(key: Key, version: string): void {
    const { shown, ahead } = this.#charges.get(key) ?? {};
    if (!ahead) return;
    const made = { ...ahead, version };
    if (shown?.version !== undefined && isReached(made, shown.version)) this.#charge(key, { shown });
    else this.#charge(key, { ...(shown ? { shown } : {}), ahead: made });
  }

  /** The announced write changed nothing, or the key is gone. */
  withdraw(key: Key): void {
    const { shown } = this.#charges.get(key) ?? {};
    this.#charge(key, shown ? { shown } : {});
  }

  /** The objects and bytes of an agent, without this key. */
  without(id: AgentId, key: Key): Amount {
    const { objects, bytes } = this.#totals.get(idOf(id)) ?? { objects: 0, bytes: 0 };
    const own = counted(this.#charges.get(key));
    if (!own || idOf(own.id) !== idOf(id)) return { objects, bytes };
    return { objects: objects - 1, bytes: bytes - own.bytes };
  }

  /** The bytes of all agents, without this key. */
  bytesWithout(key: Key): number {
    return this.#bytes - (counted(this.#charges.get(key))?.bytes ?? 0);
  }

  /** Every agent that has something. */
  get agents(): AgentUsage[] {
    return [...this.#totals.values()];
  }

  #charge(key: Key, next: Charges): void {
    this.#add(counted(this.#charges.get(key)), -1);
    this.#add(counted(next), 1);
    if (next.shown || next.ahead) this.#charges.set(key, next);
    else this.#charges.delete(key);
  }

  #add(charge: Charge | undefined, sign: 1 | -1): void {
    if (!charge) return;
    const name = idOf(charge.id);
    const total = this.#totals.get(name) ?? { ...charge.id, objects: 0, bytes: 0 };
    total.objects += sign;
    total.bytes += sign * charge.bytes;
    this.#bytes += sign * charge.bytes;
    if (total.objects > 0) this.#totals.set(name, total);
    else this.#totals.delete(name);
  }
}

/** The larger of both while a write is under way, which may yet fail. */
function counted({ shown, ahead }: Charges = {}): Charge | undefined {
  if (!ahead) return shown;
  return shown && idOf(shown.id) === idOf(ahead.id) && shown.bytes > ahead.bytes ? shown : ahead;
}

/** Whether a state of this version is the written one, or a later one. */
function isReached({ version: written }: Charge, version: string): boolean {
  return written !== undefined && Number(version) >= Number(written);
}

function idOf({ mode, name }: AgentId): string {
  return `${mode} ${name}`;
}
