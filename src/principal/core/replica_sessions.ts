/** The replicas that follow this principal, as operations, status and metrics see them. */
import type { Standing } from "../../domain/ha/state.ts";

/** A replica that is connected to us. */
export interface ReplicaSession {
  readonly identity: string;
  readonly contract: "link" | "plain";
  readonly sinceMs: number;
  readonly standing: Standing | undefined;
  readonly sent: number;
  readonly applied: number;
  readonly pending: number;
  readonly heldTotal: number;
  /** Everything up to this revision of our index is durable there. */
  readonly appliedRevision: number;
}
