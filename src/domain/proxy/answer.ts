/** An agent's answer to a request as an answer over HTTP. Agents tell no reason of a failure; people read ours. */
import { parseJson } from "../../base/json.ts";
import type { AgentEvent } from "../events/cloudevent.ts";
import { isRecord } from "../resources/object.ts";
import type { ProxiedRequest } from "./request.ts";
import { failure, type HttpAnswer, success } from "./status.ts";

/** The answer that a response event is. */
export function answerOf(
  agent: string,
  request: ProxiedRequest,
  uuid: string,
  { payload, cutBytes }: Pick<AgentEvent, "payload" | "cutBytes">,
): HttpAnswer {
  const { method, target: { path, parts } } = request;
  const about = `${method} ${path} at agent "${agent}"`;
  if (cutBytes !== undefined) {
    const remedy = "ask for less, with limit or a selector";
    return failure(
      502,
      `${about} failed: its answer has ${cutBytes} bytes, which is more than is taken; ${remedy}`,
    );
  }
  const answer = parsed(payload);
  const status = answer?.["status"];
  if (!answer || answer["uuid"] !== uuid || !isStatus(status)) {
    return failure(502, `${about} failed: the agent's answer cannot be understood`);
  }
  const resource = answer["resource"];
  if (status === 200 && typeof resource === "string") return { status, body: resource };
  // Agents say nothing of a deletion; an API server does.
  if (status === 200) return { status, body: method === "DELETE" ? success() : "" };
  const details = { name: parts.name, group: parts.group, kind: parts.resource };
  return failure(status, `${about} failed: ${meaning(status, request)}`, { details });
}

/** The meaning of an agent's status for people. */
function meaning(status: number, { method, target: { parts } }: ProxiedRequest): string {
  switch (status) {
    case 403:
      return "Argo CD does not manage the resource, or the agent may not do that on its cluster";
    case 404:
      return "its cluster has no such resource";
    case 409:
      return method === "POST" ? "it exists already" : "it was changed meanwhile";
    case 422:
      return "its API server refuses the object as invalid";
    case 500:
      return method === "GET" && parts.name === "" && parts.resource !== "" && parts.resource !== "events"
        ? "agents list nothing but events"
        : "see the agent's log";
    default:
      return `the agent answered ${status}`;
  }
}

/** The core group's versions out of an agent's list of all groups: its answer to `/api` and `/apis` is the same. */
export function coreVersions(answer: HttpAnswer): HttpAnswer {
  return withGroups(answer, (groups) => {
    const versions = groups.filter(isCore).flatMap(({ versions }) => Array.isArray(versions) ? versions : [])
      .map((one) => isRecord(one) ? one["version"] : undefined).filter((one) => typeof one === "string");
    return { kind: "APIVersions", versions, serverAddressByClientCIDRs: [] };
  });
}

/** The list of all groups without the core group, which `/api` tells. */
export function namedGroups(answer: HttpAnswer): HttpAnswer {
  return withGroups(
    answer,
    (groups, list) => ({ ...list, groups: groups.filter((group) => !isCore(group)) }),
  );
}

type Group = Record<string, unknown>;

const isCore = ({ name }: Group) => name === "" || name === undefined;

function withGroups(
  answer: HttpAnswer,
  change: (groups: Group[], list: Record<string, unknown>) => unknown,
): HttpAnswer {
  if (answer.status !== 200) return answer;
  const list = parsed(new TextEncoder().encode(answer.body));
  const groups = list?.["groups"];
  if (!list || !Array.isArray(groups)) return answer;
  return { ...answer, body: JSON.stringify(change(groups.filter(isRecord), list)) };
}

/** A status that a client understands as an end. */
function isStatus(status: unknown): status is number {
  return typeof status === "number" && Number.isInteger(status) && status >= 200 && status <= 599 &&
    status !== 204 && status !== 304;
}

function parsed(payload: Uint8Array | undefined): Record<string, unknown> | undefined {
  try {
    const value = parseJson(new TextDecoder("utf-8", { fatal: true }).decode(payload ?? new Uint8Array()));
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
