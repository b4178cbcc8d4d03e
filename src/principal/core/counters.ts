/** What is counted. Values only grow, but for times. */

/** Counters that metrics show; only grow, but for times. */
export interface Counters {
  eventsForwarded: number;
  eventsReceived: number;
  eventsApplied: number;
  applyErrors: number;
  /** Of the errors, those while a snapshot was being applied. */
  snapshotApplyErrors: number;
  /** Streams that ended before the peer had answered. */
  snapshotFetchErrors: number;
  /** Failed writes by `Kind|operation`. */
  operationErrors: Record<string, number>;
  refused: number;
  reconnects: number;
  snapshots: number;
  sequenceGaps: number;
  connectionsRejected: Record<string, number>;
  transitions: Record<string, number>;
  failovers: number;
  failbacks: number;
  agentEventsSent: number;
  agentEventsReceived: number;
  /** Events that failed or were refused, by target. */
  agentErrors: Record<string, number>;
  /** Streams opened, by agent. */
  agentConnections: Record<string, number>;
  /** How long the last durable record of role and epoch took, in ms; 0: there was none in this process. */
  recordMs: number;
}

/** All zero. */
export function newCounters(): Counters {
  return {
    eventsForwarded: 0,
    eventsReceived: 0,
    eventsApplied: 0,
    applyErrors: 0,
    snapshotApplyErrors: 0,
    snapshotFetchErrors: 0,
    operationErrors: {},
    refused: 0,
    reconnects: 0,
    snapshots: 0,
    sequenceGaps: 0,
    connectionsRejected: {},
    transitions: {},
    failovers: 0,
    failbacks: 0,
    agentEventsSent: 0,
    agentEventsReceived: 0,
    agentErrors: {},
    agentConnections: {},
    recordMs: 0,
  };
}
