/**
 * A Go primary forwards its agents' events unchanged: in the agent's namespace, with the agent's UIDs and project names.
 * Written like that, they corrupt a replica. This file computes their effect on the primary's own resource: a status, or
 * an autonomous agent's resource as the principal keeps it. An agent's deletion deletes nothing: the primary sends its
 * own event when its resource is gone.
 */
import { reasonOf } from "../../base/reason.ts";
import { interpret } from "../agents/inbound.ts";
import { notOwned } from "../agents/ownership.ts";
import { adopted, withStatus } from "../agents/writes.ts";
import { decodeEvent } from "../events/cloudevent.ts";
import type { ReplicatedEvent } from "../events/messages.ts";
import { sourceUid } from "../events/replicated.ts";
import type { Mode } from "../resources/roster.ts";
import { isDnsLabel, type Key } from "../resources/keys.ts";
import { type ApiObject, isRecord } from "../resources/object.ts";
import { agentOf, type Scope } from "../resources/scope.ts";

/** The effect of an agent's event, forwarded by a Go primary, on the resource `base` of this replica. */
export function fromRawInbound(
  wire: ReplicatedEvent,
  scope: Scope,
  base: (key: Key) => ApiObject | undefined,
): Effect {
  try {
    return effectOf(wire, scope, base);
  } catch (error) {
    return { skip: reasonOf(error) };
  }
}

type Effect = { key: Key; object: ApiObject } | { skip: string };

/** @throws Error where a resource cannot be kept as its agent has it */
function effectOf(
  wire: ReplicatedEvent,
  scope: Scope,
  base: (key: Key) => ApiObject | undefined,
): Effect {
  const event = decodeEvent(wire.event);
  const name = wire.agent_name ?? "";
  if ("problem" in event) return { skip: event.problem };
  if (!isDnsLabel(name)) return { skip: `agent "${name.slice(0, 64)}" is no agent` };
  const mode: Mode = event.type === "status-update" && event.target === "application"
    ? "managed"
    : "autonomous";
  const intent = interpret(event, { name, mode }, { scope, agentNamespace: "" });
  if (intent.do === "status") {
    const existing = base(intent.key);
    if (!existing || agentOf(existing, scope) !== name) {
      return { skip: "no Application of this agent is here" };
    }
    // The primary carries an operation out and reports it in an event of its own.
    const reached = { operation: false, refresh: true };
    return { key: intent.key, object: withStatus(existing, intent.object, reached) };
  }
  if (intent.do !== "adopt") {
    return { skip: `an agent's ${event.target.slice(0, 32)} ${event.type.slice(0, 32)}` };
  }
  const existing = base(intent.key);
  const problem = existing ? notOwned({ name, mode }, existing, sourceUid(intent.object), scope) : "";
  if (problem !== "") return { skip: problem };
  const home = {
    agent: name,
    cluster: clusterOf(existing) ?? name,
    principalNamespace: scope.namespace,
    now: "",
  };
  const object = adopted(intent.object, existing, home, { operation: true, refresh: true });
  return { key: intent.key, object };
}

/** Only the primary knows the cluster's name; its earlier state shows it. */
function clusterOf(existing: ApiObject | undefined): string | undefined {
  const spec = existing && isRecord(existing["spec"]) ? existing["spec"] : {};
  const destination = isRecord(spec["destination"]) ? spec["destination"]["name"] : undefined;
  return typeof destination === "string" ? destination : undefined;
}
