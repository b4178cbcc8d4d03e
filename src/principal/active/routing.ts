/**
 * Which resource concerns which agent. The one reader of the change index for all agents together: it hands on each change with the
 * agents that it concerns, and shows a resource as an agent is to have it.
 */
import { delay } from "@std/async/delay";
import { reasonOf } from "../../base/reason.ts";
import { sha256 } from "../../base/sha256.ts";
import { Router, type Touched } from "../../domain/agents/router.ts";
import type { Usage } from "../../domain/agents/usage.ts";
import { type AgentId, type AgentView, viewOf, type World } from "../../domain/agents/view.ts";
import { Cursor } from "../../domain/changes/cursor.ts";
import type { ChangeIndex, Entry } from "../../domain/changes/index.ts";
import { type Key, keyOfObject } from "../../domain/resources/keys.ts";
import { kindOf } from "../../domain/resources/kinds.ts";
import type { StoredObject } from "../../domain/resources/object.ts";
import type { Scope } from "../../domain/resources/scope.ts";
import { deletionRequested } from "../../domain/resources/transform.ts";
import { localOf, payloadOf } from "../../domain/changes/content.ts";

/** Changes routed before other work gets its turn. */
const BATCH = 200;

/** Hears of each change of a key, with what is to be looked at because of it. */
export type Routed = (key: Key, touched: readonly Touched[]) => void;

export class Routing {
  #router: Router | undefined;
  #cursor: Cursor | undefined;
  #world: World | undefined;
  #dispatching = false;
  #unsubscribe = () => {};

  constructor(
    private readonly index: ChangeIndex,
    private readonly scope: Scope,
    private readonly routed: Routed,
  ) {}

  /** Begins to route; resolves when everything that the index has is. */
  async open(): Promise<void> {
    const router = new Router(this.scope);
    const hash = (text: string) => sha256(text, "base64");
    this.#router = router;
    this.#cursor = new Cursor(this.index, 0);
    this.#world = { scope: this.scope, sha256: hash, project: (name) => router.project(name) };
    this.#unsubscribe = this.index.onChange(() => void this.#dispatch());
    await this.#dispatch();
  }

  /** Routes nothing more. */
  close(): void {
    this.#unsubscribe();
    this.#router = undefined;
  }

  get isOpen(): boolean {
    return this.#router !== undefined;
  }

  /** A resource as an agent is to have it; undefined: it is not the agent's. */
  view(id: AgentId, key: Key): AgentView | undefined {
    try {
      return this.#world && viewOf(this.index.get(key), id, this.#world);
    } catch (error) {
      this.index.withhold(key, reasonOf(error));
      return undefined;
    }
  }

  /** An object of the store as an agent is to have it. */
  viewOfObject(id: AgentId, object: StoredObject): AgentView | undefined {
    const kind = kindOf(object, this.scope);
    if (!kind || !this.#world) return undefined;
    const payload = payloadOf(object, kind);
    const entry: Entry = {
      key: keyOfObject(object),
      payload,
      size: payload.length,
      local: localOf(object),
      revision: 0,
      digest: "",
      version: "",
      deleted: false,
      deletionRequested: deletionRequested(object),
      terminating: object.metadata.deletionTimestamp !== undefined,
      changedAt: 0,
      contentAt: 0,
    };
    return viewOf(entry, id, this.#world);
  }

  /** The key whose absence is the reason why an agent is not to have this one: a repository goes with its project. */
  causeOf(key: Key): Key {
    const project = this.index.present(key) && this.#router?.projectKeyOf(key);
    return project && !this.index.present(project) ? project : key;
  }

  /** The objects and bytes of each agent; undefined while none is served. */
  get usage(): Usage | undefined {
    return this.#router?.usage;
  }

  /** The keys that may be an agent's. */
  keysOf({ name, mode }: AgentId): Key[] {
    return (mode === "managed" ? this.#router?.managedKeys(name) : this.#router?.ownKeys(name)) ?? [];
  }

  /** A resource that cannot be routed is withheld, and those after it are routed. */
  #route(router: Router, entry: Entry): void {
    try {
      this.routed(entry.key, router.take(entry));
    } catch (error) {
      this.index.withhold(entry.key, reasonOf(error));
    }
  }

  async #dispatch(): Promise<void> {
    if (this.#dispatching) return;
    this.#dispatching = true;
    try {
      for (;;) {
        await delay(0);
        const router = this.#router;
        const entries = router && this.#cursor?.read(BATCH);
        if (!router || !entries || entries.length === 0) return;
        for (const entry of entries) this.#route(router, entry);
      }
    } finally {
      this.#dispatching = false;
    }
  }
}
