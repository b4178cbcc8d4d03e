/**
 * A principal's noticeboard in Kubernetes: Events about its Deployment, and conditions in that Deployment's status, which `kubectl describe`,
 * `kubectl wait` and `kubectl get -o` show. Requests have a connection and a time limit of their own, and are made one after another in the
 * background; what waits is bounded by the words that there are. Only the process that holds the side's lock writes.
 */
import { Coalesced } from "../../base/coalesced.ts";
import { monotonicMs } from "../../base/clock.ts";
import { reasonOf } from "../../base/reason.ts";
import { Budget } from "../../base/token_bucket.ts";
import { isRecord, type StoredObject } from "../../domain/resources/object.ts";
import type { Notice, Noticeboard, ShownCondition } from "../../principal/ports/noticeboard.ts";
import type { Resource } from "./discovery.ts";
import type { DynamicClient } from "./dynamic_client.ts";

export const EVENTS: Resource = {
  apiVersion: "v1",
  kind: "Event",
  plural: "events",
  statusSubresource: false,
};
export const DEPLOYMENTS: Resource = {
  apiVersion: "apps/v1",
  kind: "Deployment",
  plural: "deployments",
  statusSubresource: true,
};

/** So many events at once, and then one in so many seconds. */
const BURST = 25;
const EVENT_EVERY_S = 10;
/** The API server takes no longer message of an event. */
const MAX_MESSAGE = 1_024;
/** At the end the state is shown as unknown, unless that takes longer. */
const CLOSE_MS = 2_000;
const COMPONENT = "argocd-agent-principal";

export interface BoardOptions {
  namespace: string;
  /** The name of the Deployment. */
  deployment: string;
  /** The pod or host that tells. */
  instance: string;
  mayWrite(): boolean;
  /** Hears why nothing can be shown, once for each reason. */
  unusable(problem: string): void;
}

interface WaitingNotice extends Notice {
  atMs: number;
  /** Notices with this word that it took the place of. */
  left: number;
}

export class DeploymentBoard implements Noticeboard {
  /** The newest notice of each word. */
  readonly #notices = new Map<string, WaitingNotice>();
  readonly #budget = new Budget(1 / EVENT_EVERY_S, BURST);
  readonly #working = new Coalesced(() => this.#work());
  #shown = "";
  #conditions: readonly ShownCondition[] = [];
  #problem = "";

  constructor(private readonly client: DynamicClient, private readonly options: BoardOptions) {}

  tell(notice: Notice): void {
    const before = this.#notices.get(notice.reason);
    this.#notices.delete(notice.reason);
    this.#notices.set(notice.reason, { ...notice, atMs: Date.now(), left: before ? before.left + 1 : 0 });
    void this.#working.request();
  }

  show(conditions: readonly ShownCondition[]): void {
    this.#conditions = conditions;
    void this.#working.request();
  }

  /** Shows as unknown what this process has shown, if that is soon done. */
  async close(): Promise<void> {
    const message = "the process that said so has ended; another one says it again";
    const ended = (one: ShownCondition): ShownCondition => ({
      ...one,
      status: "Unknown",
      reason: "Stopped",
      message,
    });
    this.#conditions = this.#conditions.map(ended);
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, CLOSE_MS);
    await Promise.race([this.#working.request(), late.promise]);
    clearTimeout(timer);
  }

  /** A failure is retried with the next request, which is seconds away. */
  async #work(): Promise<void> {
    try {
      await this.#tellAndShow();
      this.#problem = "";
    } catch (error) {
      const problem = reasonOf(error);
      if (problem !== this.#problem) this.options.unusable(problem);
      this.#problem = problem;
    }
  }

  async #tellAndShow(): Promise<void> {
    const { namespace, deployment, mayWrite } = this.options;
    const shown = this.#conditions;
    const wanted = JSON.stringify(shown);
    const hasNotices = this.#notices.size > 0 && this.#budget.has(monotonicMs());
    if (!mayWrite() || !hasNotices && wanted === this.#shown) return;
    const found = await this.client.get(DEPLOYMENTS, namespace, deployment);
    if (!found) throw new Error(`there is no Deployment ${namespace}/${deployment}`);
    for (const notice of [...this.#notices.values()]) {
      if (!mayWrite() || !this.#budget.has(monotonicMs())) break;
      this.#budget.spend(monotonicMs());
      await this.client.create(EVENTS, this.#event(notice, found));
      if (this.#notices.get(notice.reason) === notice) this.#notices.delete(notice.reason);
    }
    if (wanted === this.#shown || !mayWrite()) return;
    const conditions = shown.map((one) => conditionOf(one, found));
    await this.client.mergeStatus(DEPLOYMENTS, namespace, deployment, { conditions });
    this.#shown = wanted;
  }

  #event({ warning, reason, message, atMs, left }: WaitingNotice, about: StoredObject) {
    const { namespace, deployment: name, instance } = this.options;
    const time = timeText(atMs);
    const more = left > 0 ? ` (and ${left} before it)` : "";
    return {
      apiVersion: EVENTS.apiVersion,
      kind: EVENTS.kind,
      metadata: { name: `${name}.${crypto.randomUUID()}`, namespace },
      involvedObject: {
        apiVersion: DEPLOYMENTS.apiVersion,
        kind: DEPLOYMENTS.kind,
        namespace,
        name,
        uid: about.metadata.uid,
      },
      type: warning ? "Warning" : "Normal",
      reason,
      message: `${message.slice(0, MAX_MESSAGE - more.length)}${more}`,
      source: { component: COMPONENT, host: instance },
      reportingComponent: COMPONENT,
      reportingInstance: instance,
      firstTimestamp: time,
      lastTimestamp: time,
      count: 1,
    };
  }
}

/** As Kubernetes keeps it; a status that stays keeps its time. */
function conditionOf({ type, status, reason, message }: ShownCondition, { status: kept }: StoredObject) {
  const now = timeText(Date.now());
  const all: unknown[] = isRecord(kept) && Array.isArray(kept["conditions"]) ? kept["conditions"] : [];
  const before = all.filter(isRecord).find((one) => one["type"] === type);
  const lastTransitionTime = before?.["status"] === status ? String(before["lastTransitionTime"]) : now;
  return {
    type,
    status,
    reason,
    message: message.slice(0, MAX_MESSAGE),
    lastUpdateTime: now,
    lastTransitionTime,
  };
}

/** As metav1.Time: whole seconds. */
function timeText(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");
}
