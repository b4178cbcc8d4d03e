/** Computes the next event that moves an agent from its last known state of a resource to the desired state, and what its acknowledgement means. */
import type { AgentId, AgentView } from "./view.ts";

/** The state of an agent that was told to delete a resource, whether or not it has heard: another word of it would make the resource. */
export const DELETING = "deleting";

/** Which resource of an agent's. */
export type Identity = Pick<AgentView, "namespace" | "name" | "kind" | "target" | "uid">;

/** An agent's last known state of a resource. */
export interface LastKnown extends Identity {
  /** The `state` of the view that it acknowledged last; empty: none. */
  state: string;
  operation: string;
  terminating: boolean;
  /** The checksum that an autonomous agent's own has, where it is known. */
  source: string | undefined;
  /** How often the agent itself has told its state. */
  told: number;
  /** Whether the agent has the resource, in whatever state. */
  present: boolean;
  /** Whether the agent may have it: it was sent, and is not acknowledged yet. */
  sent: boolean;
  /** The agent's stream on which it acknowledged something of it last. */
  stream: number;
  /** The number of that acknowledgement, of all in this session. */
  acknowledgedAs: number;
}

/** The state of a resource of which nothing is known. */
export function unknown(): LastKnown {
  return {
    namespace: "",
    name: "",
    kind: "",
    target: "application",
    uid: "",
    state: "",
    operation: "",
    terminating: false,
    source: undefined,
    told: 0,
    present: false,
    sent: false,
    stream: 0,
    acknowledgedAs: 0,
  };
}

/** Whether it says nothing worth keeping. */
export function isUnknown(last: LastKnown): boolean {
  return !last.present && !last.sent && last.state === "" && last.operation === "" && !last.terminating &&
    last.source === undefined;
}

/** One event to send. */
export interface Step {
  type: string;
  target: string;
  /** Names the content: a retry with the same content keeps its ids. */
  fingerprint: string;
  payload: unknown;
  /** The resource that the event is about; absent for messages. */
  object?: Pick<LastKnown, "namespace" | "name" | "uid">;
  /** Whether the event carries the principal's identity. */
  signed?: boolean;
  /** Whether it makes the agent delete the resource. */
  deletes?: boolean;
  /** Whether something else follows when it is acknowledged. */
  more: boolean;
  /** The agent's state once the event is in flight. */
  begun(last: LastKnown): LastKnown;
  /** The agent's state once the event is acknowledged. */
  settle(last: LastKnown): LastKnown | undefined;
}

/** The next step, and what is known by now where no event is needed for it. */
export function stepFor(
  agent: AgentId,
  before: LastKnown | undefined,
  view: AgentView | undefined,
): { step?: Step; last: LastKnown | undefined } {
  if (!view) {
    if (!before?.present && !before?.sent) return { last: undefined };
    return { step: agent.mode === "managed" ? deletion(before) : question(before, ""), last: before };
  }
  if (agent.mode === "managed" && view.deletion !== "") return deletionStep(before, view);
  let last = before ?? unknown();
  if (view.operation === "" && last.operation !== "") last = { ...last, operation: "" };
  if (!view.terminating && last.terminating) last = { ...last, terminating: false };
  if (agent.mode === "autonomous" && view.state === "" && last.state !== "") last = { ...last, state: "" };
  const steps = stepsFor(agent, last, view);
  const [first, ...rest] = steps;
  return first ? { step: { ...first, more: rest.length > 0 }, last } : { last };
}

/**
 * Nothing is created at an agent whose Application is being deleted. An agent that has it is told, as the Go principal does, by its
 * deletionTimestamp, of which an agent without it would make another; so once, and once more only when the agent has said that it has it.
 * One that may have it is told by a deletion. A request from an earlier ACTIVE is not told at all.
 */
function deletionStep(
  last: LastKnown | undefined,
  view: AgentView,
): { step?: Step; last: LastKnown | undefined } {
  if (view.deletion === "requested" || !last || last.state === DELETING) return { last };
  if (!last.present) {
    return last.sent ? { step: told(deletion(last), { present: false, sent: false }), last } : { last };
  }
  const step = event("spec-update", view, DELETING, { state: DELETING, present: true });
  return { step: told({ ...step, deletes: true }), last };
}

/** A step after which nothing more is told of a deletion. @param then what is known once it is acknowledged */
function told(step: Step, then: Partial<LastKnown> = {}): Step {
  return {
    ...step,
    begun: (now) => ({ ...step.begun(now), state: DELETING }),
    settle: (now) => ({ ...(step.settle(now) ?? now), ...then, state: DELETING }),
  };
}

function stepsFor(agent: AgentId, last: LastKnown, view: AgentView): Step[] {
  const steps: Step[] = [];
  if (view.source !== undefined && view.source !== last.source) {
    steps.push(question({ ...last, ...identityOf(view) }, view.source));
  }
  if (agent.mode === "autonomous" && view.target !== "application") return steps;
  if (view.state !== last.state && view.state !== "") {
    const first = agent.mode === "managed" && view.target === "application" && !last.present;
    steps.push(
      event(first ? "create" : "spec-update", view, view.state, { state: view.state, present: true }),
    );
  }
  if (view.terminating && !last.terminating) {
    steps.push(event("terminate-operation", view, "terminating", { terminating: true }));
  }
  if (view.operation !== "" && view.operation !== last.operation) {
    steps.push(event("set-operation", view, view.operation, { operation: view.operation }));
  }
  return steps;
}

/** The part of it that says which resource it is about. */
export function identityOf({ namespace, name, kind, target, uid }: Identity): Identity {
  return { namespace, name, kind, target, uid };
}

function event(type: string, view: AgentView, content: string, then: Partial<LastKnown>): Step {
  const operation = type === "set-operation";
  return {
    type,
    target: view.target,
    fingerprint: `${type} ${content}`,
    payload: operation || type === "terminate-operation" ? view.withOperation : view.body,
    object: view,
    signed: !operation && view.target !== "gpgkey",
    more: false,
    begun: (last) => ({ ...last, ...identityOf(view), sent: true }),
    settle: (last) => ({ ...last, ...identityOf(view), ...then }),
  };
}

function deletion(last: LastKnown): Step {
  const { namespace, name, uid, target } = last;
  return {
    type: "delete",
    target,
    fingerprint: "delete",
    payload: { metadata: { name, namespace, uid } },
    object: last,
    signed: target !== "gpgkey",
    deletes: true,
    more: false,
    begun: (now) => now,
    settle: () => undefined,
  };
}

/** Asks an autonomous agent for its own resource, unless that has this checksum; empty: whatever it has. */
function question(last: LastKnown, checksum: string): Step {
  const { namespace, name, uid, kind } = last;
  return {
    type: "request-update",
    target: "resourceResync",
    fingerprint: `ask ${checksum}`,
    payload: { name, namespace, uid, kind, checksum: checksum || null },
    more: false,
    begun: (now) => now,
    settle: (now) => {
      // Its answer may be what it had told before, and may come before the acknowledgement.
      const answered = now.source !== undefined && now.told !== last.told;
      if (checksum === "" && !answered) return undefined;
      return { ...now, ...identityOf(last), source: answered ? now.source : checksum, present: true };
    },
  };
}
