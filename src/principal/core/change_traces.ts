/**
 * The traces of changes, from what the store tells to whoever is sent them. A change is a span; it continues the agent's event that caused
 * it, or begins a trace. Consumers are sent the latest state of a key, so the last changes of each key are known by revision, for a while.
 */
import { monotonicMs } from "../../base/clock.ts";
import { Newest } from "../../base/newest.ts";
import type { ChangeIndex, Entry } from "../../domain/changes/index.ts";
import type { TraceContext } from "../../domain/events/trace.ts";
import type { Outgoing } from "../../domain/replication/leader.ts";
import { type Key, parseKey } from "../../domain/resources/keys.ts";
import type { Tracing } from "../ports/tracing.ts";

/** Keys whose changes are known. */
const MAX_KEYS = 10_000;
/** Changes of one key; earlier ones are left out. */
const MAX_CHANGES = 32;
/** A consumer that comes later is sent a state, and no change. */
const KEPT_MS = 600_000;

/** The latest change of a key, and those before it that a consumer was not sent. */
export interface TracedChange {
  trace: TraceContext;
  revision: number;
  earlier: TraceContext[];
}

/** The part of the principal that this needs. */
export interface ChangeTracesParts {
  readonly tracing: Tracing;
  readonly index: Pick<ChangeIndex, "get">;
  /** Open while this principal is ACTIVE: what a replica's store tells is the leader's, and traced there. */
  activeScope(): AbortSignal | undefined;
}

interface Change {
  readonly trace: TraceContext;
  readonly revision: number;
}

export class ChangeTraces {
  readonly #causes = new Map<Key, TraceContext>();
  readonly #changes = new Newest<Key, { list: readonly Change[]; atMs: number }>(MAX_KEYS);

  constructor(private readonly parts: ChangeTracesParts) {}

  /** Changes that the store tells of a key are caused by this, until the returned function is called. */
  causing(key: Key, trace: TraceContext | undefined): () => void {
    if (!trace) return () => {};
    this.#causes.set(key, trace);
    return () => {
      if (this.#causes.get(key) === trace) this.#causes.delete(key);
    };
  }

  /** The store has told of a change, and the index has it. @param manager who made it, where that is known */
  changed(key: Key, before: Entry | undefined, manager: string): void {
    const { tracing, index, activeScope } = this.parts;
    const entry = tracing.on && activeScope() ? index.get(key) : undefined;
    if (!entry) return;
    const operation = entry.deleted ? "delete" : !before || before.deleted ? "create" : "update";
    const { kind = "", namespace = "", name = "" } = parseKey(key) ?? {};
    const span = tracing.begin(`${kind}.${operation}`, this.#causes.get(key), {
      attributes: {
        "argocd.operation.type": operation,
        "k8s.resource.kind": kind,
        "k8s.namespace.name": namespace,
        "k8s.resource.name": name,
        ...(manager === "" ? {} : { "k8s.field_manager": manager }),
      },
    });
    span.end();
    if (!span.trace) return;
    const list = [...this.#known(key), { trace: span.trace, revision: entry.revision }];
    this.#changes.set(key, { list: list.slice(-MAX_CHANGES), atMs: monotonicMs() });
  }

  /** The latest change of a key. @param sent the revision that the consumer was sent last */
  of(key: Key, sent = 0): TracedChange | undefined {
    const list = this.#known(key);
    const last = list.at(-1);
    if (!last) return undefined;
    return {
      ...last,
      earlier: list.slice(0, -1).filter(({ revision }) => revision > sent).map((c) => c.trace),
    };
  }

  /** A message of changes with the trace of each. */
  carried(message: Outgoing): Outgoing {
    if (this.#changes.size === 0) return message;
    const changes = message.changes.map((change) => {
      const traced = this.of(change.key);
      return traced ? { ...change, trace: traced.trace } : change;
    });
    return { ...message, changes };
  }

  #known(key: Key): readonly Change[] {
    const known = this.#changes.get(key);
    return known && monotonicMs() - known.atMs < KEPT_MS ? known.list : [];
  }
}
