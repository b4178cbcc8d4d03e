/**
 * The messages of the Go principal's replication contract as plain values, under the names of its `.proto` file. Every
 * field may be missing, as on the wire.
 */

/** A resource in a snapshot or a question; `data` is the object's JSON. */
export interface Resource {
  name?: string;
  namespace?: string;
  kind?: string;
  uid?: string;
  /** Never set by a Go principal. */
  spec_checksum?: Uint8Array;
  data?: Uint8Array;
}

/** An agent and its resources. */
export interface AgentState {
  name?: string;
  mode?: string;
  connected?: boolean;
  resources?: Resource[];
}

/** The answer to `GetSnapshot`. */
export interface ReplicationSnapshot {
  agents?: AgentState[];
  last_sequence_num?: number;
  principal_resources?: Resource[];
}

/** A replica's message on `Subscribe`. */
export interface ReplicationAck {
  acked_sequence_num?: number;
}

/** The answer to `Status`. */
export interface ReplicationStatus {
  current_sequence_num?: number;
  pending_events?: number;
  last_event_unix?: number;
  connected_replicas?: number;
}

/** A replica's question about resources of one agent that a snapshot did not name. */
export interface ConfirmMissingResourcesRequest {
  agent_name?: string;
  snapshot_sequence_num?: number;
  resources?: Resource[];
}

/** The answer about one resource: `exists`, `deleted` or `unknown`. */
export interface ConfirmMissingResourceResult {
  resource?: Resource;
  status?: string;
  reason?: string;
}
