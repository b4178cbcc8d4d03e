/** The replicas that follow this principal, as operations, status and metrics see them. */
import { Emitter, type Subscribe } from "../../base/until.ts";
import type { Standing } from "../../domain/ha/state.ts";

/** A replica that is connected to us. */
export interface ReplicaSession {
  readonly identity: string;
  /** Whether its copy counts as this side's second one; a reader that is not the peer is believed nothing. */
  readonly counts: boolean;
  readonly contract: "link" | "plain";
  readonly sinceMs: number;
  readonly standing: Standing | undefined;
  readonly sent: number;
  readonly applied: number;
  readonly pending: number;
  readonly heldTotal: number;
  /** Everything up to this revision of our index is durable there. */
  readonly appliedRevision: number;
  /** Everything up to this revision has arrived there; undefined: its copy is being compared or filled. */
  readonly receivedRevision: number | undefined;
  /** Keys that have arrived there and are not durable. */
  readonly unwritten: number;
  /** When it last had everything and the same digest, on our monotonic clock; 0: it has never said so. */
  readonly equalAtMs: number;
}

/** All of them; tells when one comes, goes or acknowledges. */
export class Replicas extends Set<ReplicaSession> {
  readonly #changes = new Emitter();

  /** Calls a listener after every such change until the returned function is called. */
  get onChange(): Subscribe {
    return this.#changes.subscribe;
  }

  override add(session: ReplicaSession): this {
    super.add(session);
    this.#changes.notify();
    return this;
  }

  override delete(session: ReplicaSession): boolean {
    const deleted = super.delete(session);
    this.#changes.notify();
    return deleted;
  }

  /** One of them has acknowledged. */
  acknowledged(): void {
    this.#changes.notify();
  }

  /** Those whose copies count: a role moves to none but them, and nothing waits for any other reader. */
  get counted(): ReplicaSession[] {
    return [...this].filter(({ counts }) => counts);
  }

  /** Whether one of those has durably applied everything up to a revision of our index. */
  haveApplied(revision: number): boolean {
    return this.counted.some(({ appliedRevision }) => appliedRevision >= revision);
  }
}
