/**
 * The Go principal's event messages as plain values. The field names are those of its `.proto` files, so that an adapter
 * encodes and decodes them without a mapping; every field may be missing, as on the wire.
 */

/** `io.cloudevents.v1.CloudEvent`. */
export interface CloudEvent {
  id?: string;
  source?: string;
  spec_version?: string;
  type?: string;
  attributes?: Record<string, Attribute>;
  binary_data?: Uint8Array;
  text_data?: string;
}

/** The value of an attribute: one of these. */
export interface Attribute {
  ce_boolean?: boolean;
  ce_integer?: number;
  ce_string?: string;
  ce_bytes?: Uint8Array;
  ce_uri?: string;
  ce_uri_ref?: string;
  ce_timestamp?: { seconds?: number; nanos?: number };
}

/** One change on a replication stream; `direction` is `outbound` or, for a raw agent event, `inbound`. */
export interface ReplicatedEvent {
  event?: CloudEvent;
  agent_name?: string;
  direction?: string;
  sequence_num?: number;
  processed_at_unix?: number;
}
