/** Events of agents in the log, where that is wanted. Credentials and contents of agents' clusters are never in it. */
import type { Tell } from "../../base/log.ts";
import type { AgentEvent } from "../../domain/events/cloudevent.ts";

/** The targets whose payloads are neither. */
const SHOWN: readonly string[] = [
  "application",
  "appproject",
  "applicationset",
  "gpgkey",
  "resourceResync",
  "clusterCacheInfoUpdate",
];
const MAX_TEXT = 253;

/** Tells of an event. */
export function tellEvent(
  tell: Tell,
  direction: "received" | "sent",
  agent: string,
  event: AgentEvent,
): void {
  const { target, type, subject = "", extensions: { resourceid = "", eventid = "" }, payload } = event;
  const facts = { target, type, subject, resourceid, eventid };
  const short = Object.entries(facts).map(([name, text]) => [name, text.slice(0, MAX_TEXT)]);
  const bytes = payload?.length ?? 0;
  const detail = () => payload && SHOWN.includes(target) ? new TextDecoder().decode(payload) : "";
  tell(`event ${direction}`, { agent, ...Object.fromEntries(short), bytes }, detail);
}
