/** Passes a leader's messages to its replica as the wire would, without the wire. */
import type {
  HeardFromLeader,
  IncomingChanges,
  SentByLeader,
} from "../../src/domain/replication/messages.ts";
import { wasSeenToGo } from "../../src/domain/changes/index.ts";
import type { Outgoing } from "../../src/domain/replication/leader.ts";

/** One message. */
export function asHeard(message: SentByLeader): HeardFromLeader {
  return message.type === "changes" ? { ...message, changes: asIncoming(message.changes) } : message;
}

/** One message of changes. */
export function asIncoming({ changes, ...header }: Outgoing): IncomingChanges {
  return {
    header: { ...header, count: changes.length },
    changes: changes.map(({ key, entry }, i) => ({
      sequence: header.firstSequence + i,
      key,
      changedAt: entry?.changedAt ?? 0,
      ...(entry && !entry.deleted
        ? { object: entry.payload }
        : wasSeenToGo(entry)
        ? {}
        : { concluded: true }),
    })),
  };
}
