/**
 * What an agent's event does here, carried out: read, decided by the pure rules of src/domain/agents, written for exactly the state that was
 * read, and waited for until the index has it.
 */
import { canonicalize } from "@std/json/canonicalize";
import { delay } from "@std/async/delay";
import type { Intent, Named } from "../../domain/agents/inbound.ts";
import { ownsProject } from "../../domain/agents/projects.ts";
import { identityOf } from "../../domain/agents/step.ts";
import type { AgentView } from "../../domain/agents/view.ts";
import { adopted, type Reached, withFailure, withStatus } from "../../domain/agents/writes.ts";
import { sourceUid } from "../../domain/events/replicated.ts";
import type { Key } from "../../domain/resources/keys.ts";
import type { ApiObject, StoredObject } from "../../domain/resources/object.ts";
import { agentOf } from "../../domain/resources/scope.ts";
import { REFRESH } from "../../domain/resources/transform.ts";
import { StoreError } from "../ports/store.ts";
import type { AgentHost, Fleet } from "./fleet.ts";

const MAX_CONFLICTS = 10;
const CONFLICT_MS = 20;

/** An agent may not do this; it is acknowledged, since it will not be allowed later either. */
export class NotAllowed extends Error {}
/** There is no room now; the agent's next attempt may find some. */
class Later extends Error {}

export class AgentWrites {
  /** The agent's resourceVersion of the state that was applied last, by key. */
  readonly #versions = new Map<Key, { uid: string; version: number }>();
  /**
   * Reports without an operation or refresh whose event the agent has not acknowledged yet: only then is it known that the agent had
   * it, and that it is over.
   */
  readonly #open = new Map<Key, Intent>();

  constructor(private readonly host: AgentHost, private readonly fleet: Fleet) {}

  /** A new stream: an agent whose cluster was restored from a backup counts from earlier again. */
  connected(): void {
    this.#versions.clear();
  }

  /** The report about a key to look at again, now that the agent has acknowledged something about it. */
  open(key: Key): Intent | undefined {
    return this.#open.get(key);
  }

  /**
   * Carries an intent out.
   *
   * @param heardAfter how many acknowledgements of the agent had come before it
   * @throws NotAllowed, StoreError, or any error: then it is not done
   */
  async carryOut(intent: Intent, heardAfter: number): Promise<void> {
    const { session } = this.host;
    switch (intent.do) {
      case "nothing":
        if (intent.refused) throw new NotAllowed(intent.why);
        return;
      case "status":
        return await this.#status(intent);
      case "adopt":
        return await this.#adopt(intent);
      case "deleted":
        return await this.#deleted(intent, heardAfter);
      case "failed":
        return await this.#failed(intent);
      case "list":
        return this.#list(intent.checksum);
      case "compare":
        await this.fleet.ctx.lookUp(intent.resource.key);
        return this.#compare(intent.resource, intent.checksum);
      case "askAll":
        for (const item of session.list(this.fleet.keysOf(this.host.id))) this.#doubt(item);
        return;
      case "ask":
        await this.fleet.ctx.lookUp(intent.resource.key);
        return this.#doubt(intent.resource);
      case "cacheInfo":
        this.fleet.ctx.clusterInfo.cacheInfo(this.host.id.name, intent);
        return;
    }
  }

  async #status(intent: Extract<Intent, { do: "status" }>): Promise<void> {
    const { key, object: incoming } = intent;
    if (this.#isOlder(key, incoming)) return;
    await this.#change(intent, (existing, reached) => {
      if (!existing) return undefined;
      this.#mustOwn(existing);
      return withStatus(existing, incoming, reached);
    }, incoming);
  }

  async #adopt(intent: Extract<Intent, { do: "adopt" }>): Promise<void> {
    const { key, object: incoming } = intent;
    if (this.#isOlder(key, incoming)) return;
    const { name: agent } = this.host.id;
    const { settings } = this.fleet.ctx;
    const cluster = this.fleet.clusters.of(agent)?.name ?? agent;
    const home = { agent, cluster, principalNamespace: settings.namespace, now: new Date().toISOString() };
    await this.#change(intent, (existing, reached) => {
      if (existing) this.#mustOwn(existing);
      return adopted(incoming, existing, home, reached);
    }, incoming);
  }

  async #failed(intent: Extract<Intent, { do: "failed" }>): Promise<void> {
    const { name } = this.host.id;
    await this.#change(intent, (existing) => {
      if (!existing) return undefined;
      this.#mustOwn(existing);
      return withFailure(existing, name, intent.message, new Date().toISOString());
    });
  }

  async #deleted({ key, uid }: Extract<Intent, { do: "deleted" }>, heardAfter: number): Promise<void> {
    const { activeStore: store } = this.fleet.ctx;
    const { session, id } = this.host;
    const existing = await store.get(key);
    if (existing) this.#mustOwn(existing);
    const another = existing !== undefined && uid !== "" && sourceUid(existing) !== uid;
    // A deletion that comes late is of an object that was made anew since.
    if (another && id.mode === "autonomous") return;
    this.#versions.delete(key);
    this.#open.delete(key);
    if (existing && id.mode === "managed" && (another || !existing.metadata.deletionTimestamp)) {
      session.lost(key, { uid, heardAfter });
      this.host.schedule();
      return;
    }
    session.gone(key, { uid, heardAfter });
    if (!existing) return;
    await store.write({ op: "delete", key });
    await this.fleet.indexed(key, undefined);
  }

  /** Reads, changes and writes a resource, again where somebody else was faster; then what the agent has is known. */
  async #change(
    intent: Extract<Intent, { key: Key }>,
    change: (existing: StoredObject | undefined, reached: Reached) => ApiObject | undefined,
    incoming?: ApiObject,
  ): Promise<void> {
    const { key } = intent;
    const { activeStore: store } = this.fleet.ctx;
    const { session } = this.host;
    session.hold(key);
    let has = {};
    try {
      for (let conflicts = 0;;) {
        const existing = await store.get(key);
        const before = existing && this.fleet.viewOfObject(this.host.id, existing);
        const reached = {
          operation: session.delivered(key, "operation", before?.operation ?? ""),
          refresh: session.delivered(key, "state", before?.state ?? ""),
        };
        const next = change(existing, reached);
        if (!next) return;
        const open = before && incoming && isOpen(before, incoming, reached) && session.underway(key);
        if (open) this.#open.set(key, intent);
        try {
          const expect = existing?.metadata.resourceVersion ?? "absent";
          const { object, changed } = await store.write({ op: "put", object: next, expect });
          if (changed) await this.fleet.indexed(key, object?.metadata.resourceVersion);
          if (!open) this.#open.delete(key);
          if (incoming) this.#remember(key, incoming);
          if (object && incoming) has = this.#known(object, incoming, reached);
          return;
        } catch (error) {
          const again = error instanceof StoreError && error.code === "conflict";
          if (!again || ++conflicts > MAX_CONFLICTS) throw error;
          await delay(CONFLICT_MS * conflicts);
        }
      }
    } finally {
      session.release(key, has);
      this.host.schedule();
    }
  }

  /** What the agent has, now that its own state is written here. */
  #known(written: StoredObject, incoming: ApiObject, reached: Reached) {
    const view = this.fleet.viewOfObject(this.host.id, written);
    if (!view) return {};
    const { namespace, name, kind, target, uid } = view;
    const operation = incoming["operation"];
    const own = this.host.id.mode === "autonomous";
    return {
      ...(own ? { namespace, name, kind, target, uid, source: view.source, known: true } : {}),
      ...(operation !== undefined ? { operation: canonicalize(operation) } : {}),
      ...(reached.refresh || (own && view.state !== "" && refreshed(incoming)) ? { state: view.state } : {}),
    };
  }

  #list(checksum: string): void {
    const { session } = this.host;
    const list = session.list(this.fleet.keysOf(this.host.id));
    if (session.checksum(list) === checksum) return;
    for (const { key, name, namespace, uid, kind } of list) {
      if (session.told(key)) continue;
      if (!session.say(`announce ${key}`, "response-synced-resource", { name, namespace, uid, kind })) {
        throw new Later("too many resync messages wait for this agent");
      }
    }
    this.host.schedule();
  }

  #compare(resource: Named, checksum: string): void {
    const { session, id } = this.host;
    if (session.underway(resource.key)) return;
    const view = this.fleet.view(id, resource.key);
    if (view && view.checksum === checksum) return;
    this.#doubt(view ? { ...resource, ...identityOf(view) } : resource);
  }

  #doubt(resource: Named): void {
    const { key, ...what } = resource;
    if (!this.host.session.doubt(key, what)) {
      throw new Later("too many unknown resources are being asked for");
    }
    this.host.schedule();
  }

  /** @throws NotAllowed when a resource is not this agent's, whatever its event claims */
  #mustOwn(existing: StoredObject): void {
    const { name, mode } = this.host.id;
    const { scope } = this.fleet.ctx.settings;
    const theirs = existing.kind === "AppProject"
      ? ownsProject(name, existing)
      : mode === "autonomous"
      ? existing.metadata.namespace === name
      : agentOf(existing, scope) === name;
    if (!theirs) throw new NotAllowed(`${existing.kind} "${existing.metadata.name}" is not this agent's`);
  }

  /** Whether a later state of the same object of the agent's was applied already: resent events must not bring it back. */
  #isOlder(key: Key, { metadata }: ApiObject): boolean {
    const version = Number(metadata.resourceVersion);
    const uid = metadata.uid ?? "";
    if (!Number.isSafeInteger(version) || uid === "") return false;
    const before = this.#versions.get(key);
    return before?.uid === uid && before.version > version;
  }

  /** Only of what is kept: names that an agent makes up cost nothing. */
  #remember(key: Key, { metadata }: ApiObject): void {
    const version = Number(metadata.resourceVersion);
    if (Number.isSafeInteger(version) && metadata.uid) {
      this.#versions.set(key, { uid: metadata.uid, version });
    }
  }
}

/** Whether a report lacks what is asked for here, and it is not known whether the agent had it. */
function isOpen(
  before: AgentView,
  incoming: ApiObject,
  reached: Reached,
): boolean {
  const operation = before.operation !== "" && !reached.operation && incoming["operation"] === undefined;
  const refresh = before.body.metadata.annotations?.[REFRESH] !== undefined && !reached.refresh;
  return operation || (refresh && !refreshed(incoming));
}

function refreshed({ metadata }: ApiObject): boolean {
  return metadata.annotations?.[REFRESH] !== undefined;
}
