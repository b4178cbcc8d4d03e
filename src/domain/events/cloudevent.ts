/**
 * CloudEvents as argocd-agent encodes them, to and from a domain event. The Go principal's contract fixes the encoding
 * (which attribute is a URI, which stay empty). Decoding accepts all that the Go decoder accepts and names the fault
 * otherwise. The messages are plain values, so nothing here does I/O.
 */
import type { Attribute, CloudEvent } from "./messages.ts";

const PREFIX = "io.argoproj.argocd-agent.event.";
/** Requests of these targets carry a bare HTTP method as their type; the agent's answers carry the prefix. */
const BARE_TARGETS: readonly string[] = ["resource", "containerlog"];
const METHOD = /^[A-Z]+$/;
/** The attribute of an event that was too large: its bytes; its payload was read away. */
export const CUT_BYTES = "cutbytes";
const EXTENSIONS = ["eventid", "resourceid", "sentat", "principaluid", "traceparent", "tracestate"] as const;

/** A domain event. */
export interface AgentEvent {
  /** The type without its prefix (`spec-update`); a bare HTTP method for requests about resources and logs. */
  type: string;
  /** The `dataschema`: `application`, `appproject`, … */
  target: string;
  /** `<namespace>/<name>` when the target is a Kubernetes object. */
  subject?: string;
  extensions: Partial<Record<(typeof EXTENSIONS)[number], string>>;
  /** JSON text; absent on acknowledgements and heartbeats. */
  payload?: Uint8Array;
  /** The bytes of an event that was too large; it has no payload. */
  cutBytes?: number;
}

/** The event on the wire: `id` and `source` empty, `dataschema` a URI, the payload always in `binary_data`. */
export function encodeEvent(event: AgentEvent): CloudEvent {
  const attributes = new Map<string, Attribute>([["dataschema", { ce_uri: event.target }]]);
  if (event.payload) attributes.set("datacontenttype", { ce_string: "application/json" });
  if (event.subject !== undefined) attributes.set("subject", { ce_string: event.subject });
  for (const name of EXTENSIONS) {
    const value = event.extensions[name];
    if (value !== undefined) attributes.set(name, { ce_string: value });
  }
  return {
    spec_version: "1.0",
    type: BARE_TARGETS.includes(event.target) && METHOD.test(event.type) ? event.type : PREFIX + event.type,
    attributes: Object.fromEntries(attributes),
    binary_data: event.payload ?? new Uint8Array(),
  };
}

/** The event of a wire message, or the reason why the message is malformed. */
export function decodeEvent(wire: CloudEvent | null | undefined): AgentEvent | { problem: string } {
  if (!wire) return { problem: "the message carries no event" };
  const attributes = wire.attributes ?? {};
  for (const [name, value] of Object.entries(attributes)) {
    if (text(value) === undefined) return { problem: `attribute "${name.slice(0, 64)}" has no value` };
  }
  const contentType = text(attributes["datacontenttype"]) ?? "";
  if (!["", "application/json", "text/json"].includes(contentType)) {
    return { problem: `content type "${contentType.slice(0, 64)}" is not JSON` };
  }
  const type = wire.type ?? "";
  const event: AgentEvent = {
    type: type.startsWith(PREFIX) ? type.slice(PREFIX.length) : type,
    target: attributes["dataschema"]?.ce_uri ?? "",
    extensions: {},
  };
  const subject = text(attributes["subject"]);
  if (subject !== undefined) event.subject = subject;
  for (const name of EXTENSIONS) {
    const value = text(attributes[name]);
    if (value !== undefined) event.extensions[name] = value;
  }
  const payload = wire.binary_data?.length
    ? wire.binary_data
    : wire.text_data
    ? new TextEncoder().encode(wire.text_data)
    : undefined;
  if (payload) event.payload = payload;
  const cut = Number(text(attributes[CUT_BYTES]));
  if (cut > 0) event.cutBytes = cut;
  return event;
}

function text(attribute: Attribute | undefined): string | undefined {
  if (!attribute) return undefined;
  const { ce_string, ce_uri, ce_uri_ref, ce_boolean, ce_integer, ce_bytes, ce_timestamp } =
    attribute as Record<
      string,
      unknown
    >;
  if (ce_bytes !== undefined && ce_bytes !== null) return "";
  if (ce_timestamp !== undefined && ce_timestamp !== null) return "";
  const value = ce_string ?? ce_uri ?? ce_uri_ref ?? ce_boolean ?? ce_integer;
  return value === undefined || value === null ? undefined : String(value);
}
