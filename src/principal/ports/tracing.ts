/**
 * The port to a tracer. Whatever continues a trace names its parent; the current span is for an operation and the calls that it makes
 * meanwhile, and ends to be current when it ends, so that work which outlives it belongs to no trace by accident.
 */
import { reasonOf } from "../../base/reason.ts";
import type { AgentId } from "../../domain/agents/view.ts";
import type { AgentEvent } from "../../domain/events/cloudevent.ts";
import type { TraceContext } from "../../domain/events/trace.ts";

/** Facts of a span; never a value of a Secret. */
export type Attributes = Readonly<Record<string, string | number | boolean>>;

export interface SpanOptions {
  kind?: "internal" | "server" | "client" | "producer" | "consumer";
  attributes?: Attributes;
  /** Other spans that it comes from. */
  links?: readonly TraceContext[];
  /** In unix ms; absent: now. */
  startMs?: number;
}

/** Some work, from its beginning to its end. */
export interface Span {
  /** For whoever continues it; undefined: nothing is traced. */
  readonly trace: TraceContext | undefined;
  set(attributes: Attributes): void;
  /** Something that happened meanwhile. */
  note(text: string): void;
  /** Later calls count for nothing. @param problem why it failed; absent: it did not */
  end(problem?: string): void;
}

export interface Tracing {
  /** Whether anything is traced: what only a trace needs is not worked out otherwise. */
  readonly on: boolean;
  /** @param parent undefined: a trace begins here */
  begin(name: string, parent: TraceContext | undefined, options?: SpanOptions): Span;
  /** The span, or the trace of another process, that this code runs in; undefined: none. */
  current(): TraceContext | undefined;
  /** Runs `act`, and what it awaits, in a span or a trace. */
  within<T>(inside: Span | TraceContext | undefined, act: () => T): T;
}

const NO_SPAN: Span = { trace: undefined, set: () => {}, note: () => {}, end: () => {} };

/** Traces nothing. */
export const NO_TRACING: Tracing = {
  on: false,
  begin: () => NO_SPAN,
  current: () => undefined,
  within: (_, act) => act(),
};

/** The facts of an event from or to an agent, under the names that the Go principal gives them. */
export function eventAttributes(
  { name, mode }: AgentId,
  { target, type, extensions: { eventid = "", resourceid = "" } }: AgentEvent,
): Attributes {
  return {
    "argocd.agent.name": name,
    "argocd.agent.mode": mode,
    "argocd.event.target": target,
    "argocd.event.type": type,
    "argocd.event.id": eventid,
    "k8s.resource.uid": resourceid,
  };
}

/** Runs `act` in a span of its own, a child of the current one where no parent is named, which ends with it. */
export async function spanned<T>(
  tracing: Tracing,
  name: string,
  options: SpanOptions & { parent?: TraceContext },
  act: (span: Span) => Promise<T>,
): Promise<T> {
  if (!tracing.on) return await act(NO_SPAN);
  const span = tracing.begin(name, options.parent ?? tracing.current(), options);
  try {
    const result = await tracing.within(span, () => act(span));
    span.end();
    return result;
  } catch (error) {
    span.end(reasonOf(error));
    throw error;
  }
}
