/** A request for a pod's log as an agent takes it, and an agent's refusal as an API server would put it. */
import type { Target } from "./path.ts";
import { failure, type HttpAnswer } from "./status.ts";

/** A pod's log, as a reader wants it. */
export interface LogRequest {
  namespace: string;
  podName: string;
  container?: string;
  follow?: true;
  tailLines?: number;
  sinceSeconds?: number;
  sinceTime?: string;
  timestamps?: true;
  previous?: true;
  insecureSkipTLSVerifyBackend?: true;
  limitBytes?: number;
}

/** A log that nothing else bounds ends after so many bytes: its agent does nothing else meanwhile. */
export const MAX_STATIC_BYTES = 16 * 1024 * 1024;

const FLAGS = ["follow", "timestamps", "previous", "insecureSkipTLSVerifyBackend"] as const;
const NUMBERS = ["tailLines", "sinceSeconds", "limitBytes"] as const;
const TEXTS = ["container", "sinceTime"] as const;
const NUMBER = /^\d{1,15}$/;

/** Whether a path is that of a pod's log. */
export function isLog({ parts }: Target): boolean {
  return parts.group === "" && parts.resource === "pods" && parts.subresource === "log";
}

/** The request in a path and its parameters; undefined: it names no pod in a namespace. A parameter that cannot be read is left out. */
export function logRequestOf({ parts, params }: Target): LogRequest | undefined {
  const { namespace, name: podName } = parts;
  if (namespace === "" || podName === "") return undefined;
  const request: LogRequest = { namespace, podName };
  for (const flag of FLAGS) if (params[flag]?.toLowerCase() === "true") request[flag] = true;
  for (const name of NUMBERS) {
    const text = params[name] ?? "";
    if (NUMBER.test(text)) request[name] = Number(text);
  }
  for (const name of TEXTS) if (params[name]) request[name] = params[name];
  const bounded = request.follow ||
    [...NUMBERS, "sinceTime" as const].some((name) => request[name] !== undefined);
  return bounded ? request : { ...request, limitBytes: MAX_STATIC_BYTES };
}

/** The path and query of a request. */
export function logUrl({ namespace, podName, ...params }: LogRequest): string {
  const query = new URLSearchParams(Object.entries(params).map(([name, value]) => [name, String(value)]));
  return `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${
    encodeURIComponent(podName)
  }/log?${query}`;
}

/** Texts of API servers that say what is wrong with the request. */
const UNKNOWN = /not found/i;
const UNFIT =
  /waiting to start|previous terminated container|a container name must be specified|is not valid for pod|initializing|bad request/i;

/** An agent's refusal. */
export function logFailure(agent: string, { namespace, podName }: LogRequest, text: string): HttpAnswer {
  const code = UNFIT.test(text) ? 400 : UNKNOWN.test(text) ? 404 : 500;
  const details = { name: podName, kind: "pods" };
  return failure(code, `log of pod "${podName}" in namespace "${namespace}" at agent "${agent}": ${text}`, {
    details,
  });
}
