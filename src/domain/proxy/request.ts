/**
 * A request of Argo CD's UI as an agent takes it. An agent knows four methods, lists only events, and applies every patch of a main
 * resource as a JSON merge patch; so other patches are refused here rather than carried out as what they are not.
 */
import type { Target } from "./path.ts";
import { failure, type HttpAnswer } from "./status.ts";

/** The largest body of a request in bytes: an API server takes no more. */
export const MAX_BODY_BYTES = 3 * 1024 * 1024;

const METHODS = ["GET", "PATCH", "POST", "DELETE"] as const;
export type Method = (typeof METHODS)[number];

/** A request that the proxy passes on. */
export interface ProxiedRequest {
  method: Method;
  target: Target;
  /** Of the header, without parameters, in lower case. */
  contentType: string;
}

const MERGE = "application/merge-patch+json";
/** The patches that agents know of a subresource. */
const OF_SUBRESOURCES = [MERGE, "application/json-patch+json", "application/strategic-merge-patch+json"];

/** Some clients send none; others send protobuf, which agents do not read. */
const JSON_BODIES = ["", "application/json"];

/** Whether a text is a method that is passed on. */
export function isMethod(method: string): method is Method {
  return (METHODS as readonly string[]).includes(method);
}

/** Why a request is not passed on; undefined: it is. */
export function refusal(
  agent: string,
  { method, target, contentType }: ProxiedRequest,
): HttpAnswer | undefined {
  const { parts, params, path } = target;
  const about = `cannot ${method} ${path} at agent "${agent}"`;
  const watch = params["watch"];
  if (method === "GET" && watch !== undefined && watch !== "false" && watch !== "0") {
    return failure(405, `${about}: agents serve no watches; ask for the list, without watch`);
  }
  if (method === "PATCH") {
    const allowed = parts.subresource === "" ? [MERGE] : OF_SUBRESOURCES;
    if (!allowed.includes(contentType)) {
      const what = parts.subresource === "" ? "a resource" : "a subresource";
      return failure(
        415,
        `${about}: its content type is "${contentType}"; for ${what}, agents take ${allowed.join(" or ")}`,
      );
    }
  }
  if ((method === "POST" || method === "DELETE") && !JSON_BODIES.includes(contentType)) {
    return failure(415, `${about}: its content type is "${contentType}"; agents take application/json`);
  }
  if (method !== "GET" && parts.resource === "") return failure(405, `${about}: discovery is only read`);
  if ((method === "PATCH" || method === "DELETE") && parts.name === "") {
    return failure(405, `${about}: it names no object; agents change one object at a time`);
  }
  return undefined;
}

/** The payload of the request's event, as JSON text. */
export function payloadOf(
  uuid: string,
  { method, target, contentType }: ProxiedRequest,
  body: Uint8Array,
): string {
  const { namespace, name, subresource, group, version, resource } = target.parts;
  const sent = body.length === 0 && method === "DELETE" ? new TextEncoder().encode("{}") : body;
  const patched = method === "PATCH" && subresource !== "";
  const params = { ...target.params, ...(patched ? { "content-type": contentType } : {}) };
  return JSON.stringify({
    uuid,
    ...(namespace === "" ? {} : { namespace }),
    name,
    ...(subresource === "" ? {} : { subresource }),
    method,
    ...(sent.length === 0 ? {} : { body: sent.toBase64() }),
    ...(Object.keys(params).length === 0 ? {} : { params }),
    group,
    version,
    resource,
  });
}
