/** From what an agent has of a resource to what it is to have: the next event, one at a time, and what its acknowledgement means. */
import type { AgentId, AgentView } from "./view.ts";

/** Which resource of an agent's. */
export type Identity = Pick<AgentView, "namespace" | "name" | "kind" | "target" | "uid">;

/** What an agent has of a resource, as far as is known. */
export interface Had extends Identity {
  /** The `state` of the view that it acknowledged last; empty: none. */
  state: string;
  operation: string;
  terminating: boolean;
  /** The checksum that an autonomous agent's own has, where it is known. */
  source: string | undefined;
  /** Whether the agent has the resource, in whatever state. */
  known: boolean;
  /** Whether it may have it: it was sent, and nothing was heard of that yet. */
  tried: boolean;
  /** The agent's stream on which it acknowledged something of it last. */
  stream: number;
  /** The number of that acknowledgement, of all in this session. */
  acknowledgedAs: number;
}

/** Nothing is known. */
export function nothing(): Had {
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
    known: false,
    tried: false,
    stream: 0,
    acknowledgedAs: 0,
  };
}

/** Whether it says nothing worth keeping. */
export function isEmpty(had: Had): boolean {
  return !had.known && !had.tried && had.state === "" && had.operation === "" && !had.terminating &&
    had.source === undefined;
}

/** One event to send. */
export interface Step {
  type: string;
  target: string;
  /** Names the content: an event that is sent again with the same content keeps its ids. */
  fingerprint: string;
  payload: unknown;
  /** The resource that the event is about; absent for messages. */
  object?: Pick<Had, "namespace" | "name" | "uid">;
  /** Whether the event carries the principal's identity. */
  signed?: boolean;
  /** Whether something else follows when it is acknowledged. */
  more: boolean;
  /** What is known once it is on the way. */
  begun(had: Had): Had;
  /** What is known once it is acknowledged. */
  settle(had: Had): Had | undefined;
}

/** The next step, and what is known by now where no event is needed for it. */
export function stepFor(
  agent: AgentId,
  had: Had | undefined,
  view: AgentView | undefined,
): { step?: Step; had: Had | undefined } {
  if (!view) {
    if (!had?.known && !had?.tried) return { had: undefined };
    return { step: agent.mode === "managed" ? deletion(had) : question(had, ""), had };
  }
  let known = had ?? nothing();
  if (view.operation === "" && known.operation !== "") known = { ...known, operation: "" };
  if (!view.terminating && known.terminating) known = { ...known, terminating: false };
  if (agent.mode === "autonomous" && view.state === "" && known.state !== "") known = { ...known, state: "" };
  const steps = stepsFor(agent, known, view);
  const [first, ...rest] = steps;
  return first ? { step: { ...first, more: rest.length > 0 }, had: known } : { had: known };
}

function stepsFor(agent: AgentId, had: Had, view: AgentView): Step[] {
  const steps: Step[] = [];
  if (view.source !== undefined && view.source !== had.source) {
    steps.push(question({ ...had, ...identityOf(view) }, view.source));
  }
  if (agent.mode === "autonomous" && view.target !== "application") return steps;
  if (view.state !== had.state && view.state !== "") {
    const first = agent.mode === "managed" && view.target === "application" && !had.known;
    steps.push(event(first ? "create" : "spec-update", view, view.state, { state: view.state, known: true }));
  }
  if (view.terminating && !had.terminating) {
    steps.push(event("terminate-operation", view, "terminating", { terminating: true }));
  }
  if (view.operation !== "" && view.operation !== had.operation) {
    steps.push(event("set-operation", view, view.operation, { operation: view.operation }));
  }
  return steps;
}

/** The part of it that says which resource it is about. */
export function identityOf({ namespace, name, kind, target, uid }: Identity): Identity {
  return { namespace, name, kind, target, uid };
}

function event(type: string, view: AgentView, content: string, then: Partial<Had>): Step {
  const operation = type === "set-operation";
  return {
    type,
    target: view.target,
    fingerprint: `${type} ${content}`,
    payload: operation || type === "terminate-operation" ? view.withOperation : view.body,
    object: view,
    signed: !operation && view.target !== "gpgkey",
    more: false,
    begun: (had) => ({ ...had, ...identityOf(view), tried: true }),
    settle: (had) => ({ ...had, ...identityOf(view), ...then }),
  };
}

function deletion(had: Had): Step {
  const { namespace, name, uid, target } = had;
  return {
    type: "delete",
    target,
    fingerprint: "delete",
    payload: { metadata: { name, namespace, uid } },
    object: had,
    signed: target !== "gpgkey",
    more: false,
    begun: (now) => now,
    settle: () => undefined,
  };
}

/** Asks an autonomous agent for its own resource, unless that has this checksum; empty: whatever it has. */
function question(had: Had, checksum: string): Step {
  const { namespace, name, uid, kind } = had;
  return {
    type: "request-update",
    target: "resourceResync",
    fingerprint: `ask ${checksum}`,
    payload: { name, namespace, uid, kind, checksum: checksum || null },
    more: false,
    begun: (now) => now,
    settle: (now) => {
      const answered = now.source !== undefined && now.source !== had.source;
      if (checksum === "" && !answered) return undefined;
      return { ...now, ...identityOf(had), source: answered ? now.source : checksum, known: true };
    },
  };
}
