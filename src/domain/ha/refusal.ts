/** Why a principal refuses; each edge has its own code for it. */
export type RefusalKind =
  /** Not in its present state. */
  | "state"
  /** The request itself cannot be carried out by any principal. */
  | "request"
  /** This principal does not offer the service. */
  | "disabled"
  /** The caller does not prove who it is. */
  | "unauthenticated"
  /** The caller is known and may not. */
  | "forbidden"
  /** As many as it serves are here already. */
  | "exhausted"
  /** The principal stops serving, or the other end has gone silent: retry. */
  | "unavailable"
  /** The other end did not answer in time. */
  | "timeout"
  /** The attempt failed. */
  | "failed";

/** A command or call that a rule refuses. The message is the operator's: the refused act, the fact, and the next command. */
export class Refusal extends Error {
  constructor(message: string, readonly kind: RefusalKind = "state") {
    super(message);
  }
}
