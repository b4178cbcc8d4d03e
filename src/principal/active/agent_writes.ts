/**
 * Carries out an agent's event: reads, decides by the pure rules of src/domain/agents, writes for exactly the state that was read, and
 * waits until the index has it.
 */
import { keptJson } from "../../base/json.ts";
import type { Intent, Named } from "../../domain/agents/inbound.ts";
import { notOwned } from "../../domain/agents/ownership.ts";
import { refusedPolicies } from "../../domain/agents/projects.ts";
import { identityOf } from "../../domain/agents/step.ts";
import type { AgentSession } from "../../domain/agents/session.ts";
import type { AgentId, AgentView } from "../../domain/agents/view.ts";
import { adopted, type Reached, withFailure, withStatus } from "../../domain/agents/writes.ts";
import { sourceUid } from "../../domain/events/replicated.ts";
import { type Key, keyOfObject } from "../../domain/resources/keys.ts";
import type { ApiObject, StoredObject } from "../../domain/resources/object.ts";
import type { Scope } from "../../domain/resources/scope.ts";
import { deletionRequested, REFRESH } from "../../domain/resources/transform.ts";
import { modify } from "../ports/modify.ts";
import type { CacheInfo } from "../ports/cluster_info.ts";
import type { ActiveStore } from "./active_store.ts";
import type { AgentQuotas } from "./agent_quotas.ts";
import type { AgentRefusals } from "./agent_refusals.ts";

/** Of a policy line so much is shown. */
const MAX_POLICY = 200;

/** An agent may not do this. Its event is acknowledged, since it will not be allowed later either. */
export class NotAllowed extends Error {}
/** The write would exceed the agent's quota, which has its own line in the log. */
export class OverQuota extends NotAllowed {}
/** There is no room now; the agent's retry may find some. */
class Later extends Error {}

/** The agent whose events are carried out. */
export interface WritingAgent {
  readonly id: AgentId;
  readonly session: AgentSession;
  /** There may be something to send. */
  schedule(): void;
}

/** The part of the principal that these writes need. */
export interface AgentWritesParts {
  readonly settings: { readonly namespace: string; readonly scope: Scope };
  readonly activeStore: Pick<ActiveStore, "get" | "write">;
  /** Hears of claims that are refused. */
  readonly refusals: Pick<AgentRefusals, "refused" | "settled">;
  /** The quota of each agent. */
  readonly quotas: Pick<AgentQuotas, "problemOf" | "written" | "withdraw" | "deleted">;
  /** Objects that are kept out of the index: the report of the agent that owns one lets it in. */
  readonly foreign: { delete(key: Key): Promise<void> };
  /** Makes the index show what the store has of a key. @throws StoreError */
  lookUp(key: Key): Promise<void>;
  /** Whether the state of a key in the store cannot be used. */
  isWithheld(key: Key): boolean;
  /** A resource of the index, or an object of the store, as an agent is to have it. */
  view(id: AgentId, key: Key): AgentView | undefined;
  viewOfObject(id: AgentId, object: StoredObject): AgentView | undefined;
  /** The keys that may be an agent's. */
  keysOf(id: AgentId): Key[];
  /** Resolves when the index has this version of a key; undefined: a deletion. */
  indexed(key: Key, version: string | undefined): Promise<void>;
  /** The name of an agent's cluster in Argo CD. */
  clusterOf(agent: string): string;
  /** An agent's report of its cluster cache. */
  cacheInfo(agent: string, info: CacheInfo): void;
}

export class AgentWrites {
  /** The agent's resourceVersion of the state that was applied last, by key. */
  readonly #versions = new Map<Key, { uid: string; version: number }>();
  /**
   * Reports that lack an operation or refresh whose event the agent has not acknowledged yet. The acknowledgement will say whether the
   * agent had it, and so whether it is over.
   */
  readonly #open = new Map<Key, Intent>();

  constructor(private readonly agent: WritingAgent, private readonly parts: AgentWritesParts) {}

  /** The agent has a new stream: its cluster may have been restored from a backup and count from an earlier version. */
  connected(): void {
    this.#versions.clear();
  }

  /** The report to carry out once more, now that the agent has acknowledged an event of this key. */
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
    const { session } = this.agent;
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
        await this.parts.lookUp(intent.resource.key);
        return this.#compare(intent.resource, intent.checksum, heardAfter);
      case "askAll":
        for (const item of session.list(this.parts.keysOf(this.agent.id))) this.#recheck(item);
        return;
      case "ask":
        await this.parts.lookUp(intent.resource.key);
        return this.#recheck(intent.resource);
      case "cacheInfo":
        this.parts.cacheInfo(this.agent.id.name, intent);
        return;
    }
  }

  async #status(intent: Extract<Intent, { do: "status" }>): Promise<void> {
    const { key, object: incoming } = intent;
    if (this.#isOlder(key, incoming)) return;
    await this.#change(intent, (existing, reached) => {
      if (!existing) return undefined;
      this.#mustOwn(existing, "");
      this.#mustBeUsable(key);
      return withStatus(existing, incoming, reached);
    }, incoming);
  }

  async #adopt(intent: Extract<Intent, { do: "adopt" }>): Promise<void> {
    const { key, object: incoming } = intent;
    if (this.#isOlder(key, incoming)) return;
    const { name: agent } = this.agent.id;
    const placement = {
      agent,
      cluster: this.parts.clusterOf(agent),
      principalNamespace: this.parts.settings.namespace,
      now: new Date().toISOString(),
    };
    await this.#change(intent, (existing, reached) => {
      if (existing) this.#mustOwn(existing, sourceUid(incoming));
      return adopted(incoming, existing, placement, reached);
    }, incoming);
    if (incoming.kind === "AppProject") this.#tellPolicies(key, incoming);
  }

  async #failed(intent: Extract<Intent, { do: "failed" }>): Promise<void> {
    const { name } = this.agent.id;
    await this.#change(intent, (existing) => {
      if (!existing) return undefined;
      this.#mustOwn(existing, "");
      this.#mustBeUsable(intent.key);
      return withFailure(existing, name, intent.message, new Date().toISOString());
    });
  }

  async #deleted({ key, uid }: Extract<Intent, { do: "deleted" }>, heardAfter: number): Promise<void> {
    const { activeStore: store } = this.parts;
    const { session, id } = this.agent;
    const existing = await store.get(key);
    if (existing) this.#mustOwn(existing, uid);
    const another = existing !== undefined && uid !== "" && sourceUid(existing) !== uid;
    // A deletion that comes late is of an object that was recreated since.
    if (another && id.mode === "autonomous") return;
    this.#versions.delete(key);
    this.#open.delete(key);
    this.parts.quotas.deleted(id.name, key);
    if (existing && id.mode === "managed" && (another || deletionRequested(existing) === "")) {
      session.lost(key, { uid, heardAfter });
      this.agent.schedule();
      return;
    }
    session.gone(key, { uid, heardAfter });
    if (!existing) return;
    await store.write({ op: "delete", key });
    await this.parts.indexed(key, undefined);
  }

  /** Changes a resource here; then the agent's own state of it is known. */
  async #change(
    intent: Extract<Intent, { key: Key }>,
    change: (existing: StoredObject | undefined, reached: Reached) => ApiObject | undefined,
    incoming?: ApiObject,
  ): Promise<void> {
    const { key } = intent;
    const { session, id } = this.agent;
    const { quotas } = this.parts;
    session.hold(key);
    let has = {};
    try {
      const attempt = { reached: { operation: false, refresh: false }, open: false };
      const written = await modify(this.parts.activeStore, key, (existing) => {
        const before = existing && this.parts.viewOfObject(id, existing);
        const reached = {
          operation: session.delivered(key, "operation", before?.operation ?? ""),
          refresh: session.delivered(key, "state", before?.state ?? ""),
        };
        const next = change(existing, reached);
        if (!next) return undefined;
        this.#mustHaveRoom(key, existing, next);
        const open = before !== undefined && incoming !== undefined && isOpen(before, incoming, reached) &&
          session.underway(key);
        if (open) this.#open.set(key, intent);
        Object.assign(attempt, { reached, open });
        return next;
      });
      const { object, changed = false } = written ?? {};
      if (changed && object) quotas.written(key, object.metadata.resourceVersion);
      else quotas.withdraw(key);
      if (!written) return;
      if (intent.do === "adopt") await this.parts.foreign.delete(key);
      if (changed) await this.parts.indexed(key, object?.metadata.resourceVersion);
      if (!attempt.open) this.#open.delete(key);
      if (incoming) this.#remember(key, incoming);
      if (object && incoming) has = this.#known(object, incoming, attempt.reached);
    } catch (error) {
      quotas.withdraw(key);
      throw error;
    } finally {
      session.release(key, has);
      this.agent.schedule();
    }
  }

  /** The agent's state, now that its own is written here. */
  #known(written: StoredObject, incoming: ApiObject, reached: Reached) {
    const view = this.parts.viewOfObject(this.agent.id, written);
    if (!view) return {};
    const { namespace, name, kind, target, uid } = view;
    const operation = incoming["operation"];
    const own = this.agent.id.mode === "autonomous";
    return {
      ...(own ? { namespace, name, kind, target, uid, source: view.source, present: true } : {}),
      ...(operation !== undefined ? { operation: keptJson(operation) } : {}),
      ...(reached.refresh || (own && view.state !== "" && refreshed(incoming)) ? { state: view.state } : {}),
    };
  }

  #list(checksum: string): void {
    const { session } = this.agent;
    const list = session.list(this.parts.keysOf(this.agent.id));
    if (session.checksum(list) === checksum) return;
    for (const { key, name, namespace, uid, kind } of list) {
      if (session.told(key)) continue;
      if (
        !session.queueMessage(`announce ${key}`, "response-synced-resource", { name, namespace, uid, kind })
      ) {
        throw new Later("too many resync messages wait for this agent");
      }
    }
    this.agent.schedule();
  }

  #compare(resource: Named, checksum: string, heardAfter: number): void {
    const { session, id } = this.agent;
    const view = this.parts.view(id, resource.key);
    // Of a resource that is being deleted it matters whether the agent has it, not in which state; nothing else says so.
    const deleted = view !== undefined && view.deletion !== "";
    // A Go agent says of what it was told the name of that it lacks it, when it has it in another namespace.
    if (deleted && checksum === "") return;
    if (!deleted && (session.underway(resource.key) || view?.checksum === checksum)) return;
    this.#recheck(view ? { ...resource, ...identityOf(view) } : resource, heardAfter);
  }

  #recheck(resource: Named, heardAfter?: number): void {
    const { key, ...what } = resource;
    if (!this.agent.session.recheck(key, what, heardAfter)) {
      throw new Later("too many unknown resources are being asked for");
    }
    this.agent.schedule();
  }

  /** @throws NotAllowed when a resource is not this agent's, whatever its event claims */
  #mustOwn(existing: StoredObject, uid: string): void {
    const { agent: { id }, parts: { refusals, settings } } = this;
    const problem = notOwned(id, existing, uid, settings.scope);
    const key = keyOfObject(existing);
    if (problem === "") return refusals.settled(id.name, key);
    refusals.refused(id.name, key, problem);
    throw new NotAllowed(problem);
  }

  /** @throws OverQuota */
  #mustHaveRoom(key: Key, existing: StoredObject | undefined, next: ApiObject): void {
    const problem = this.parts.quotas.problemOf(this.agent.id, key, existing, next);
    if (problem !== undefined) throw new OverQuota(problem);
  }

  /** Lines of a project's roles that are left out. */
  #tellPolicies(key: Key, project: ApiObject): void {
    const { agent: { id }, parts: { refusals } } = this;
    const [line, ...more] = refusedPolicies(project);
    const subject = `policies of ${key}`;
    if (line === undefined) return refusals.settled(id.name, subject);
    const others = more.length > 0 ? ` and ${more.length} more` : "";
    const reason = `policy "${
      line.slice(0, MAX_POLICY)
    }"${others} of ${key} speaks of more than its project; left out`;
    refusals.refused(id.name, subject, reason);
  }

  /** @throws NotAllowed when what is here cannot be used: a part of it must not be written back for the whole */
  #mustBeUsable(key: Key): void {
    if (this.parts.isWithheld(key)) throw new NotAllowed(`${key} is kept out of use here; see: ha status`);
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
