/** The messages of one `Link/Follow` stream, to and from their wire form. */
import type { argocdagentha } from "../../../proto/gen.d.ts";
import type {
  FollowerMessage,
  HeardFromLeader,
  KeyDigest,
  SentByLeader,
} from "../../domain/replication/messages.ts";
import {
  changesFromWire,
  changesToWire,
  digestFromWire,
  digestToWire,
  marksFromWire,
  standingFromWire,
  storePointFromWire,
} from "./wire.ts";

type FollowerWire = argocdagentha.v1.FollowerMessage;
type LeaderWire = argocdagentha.v1.LeaderMessage;

export function followerMessageToWire(message: FollowerMessage): FollowerWire {
  switch (message.type) {
    case "hello":
      return {
        hello: {
          standing: message.standing,
          resumeSession: message.resume.session,
          resumeRevision: message.resume.revision,
          buckets: message.buckets,
        },
      };
    case "have":
      return { have: { entries: message.entries.map(entryToWire), last: message.last } };
    case "resend":
      return { again: { keys: [...message.keys] } };
    case "ack": {
      const { ack } = message;
      return {
        ack: {
          ...ack,
          held: [...ack.held],
        },
      };
    }
  }
}

/** Undefined: nothing that this release knows. */
export function followerMessageFromWire(
  { hello, have, ack, again }: FollowerWire,
): FollowerMessage | undefined {
  if (hello) {
    return {
      type: "hello",
      standing: standingFromWire(hello.standing),
      resume: { session: hello.resumeSession ?? "", revision: hello.resumeRevision ?? 0 },
      buckets: hello.buckets ?? new Uint8Array(),
    };
  }
  if (have) {
    return { type: "have", entries: (have.entries ?? []).map(entryFromWire), last: have.last ?? false };
  }
  if (again) return { type: "resend", keys: again.keys ?? [] };
  if (!ack) return undefined;
  return {
    type: "ack",
    ack: {
      received: ack.received ?? 0,
      unwritten: ack.unwritten ?? 0,
      processed: ack.processed ?? 0,
      applied: ack.applied ?? 0,
      held: (ack.held ?? []).map(({ key = "", reason = "" }) => ({ key, reason })),
      heldTotal: ack.heldTotal ?? 0,
      standing: standingFromWire(ack.standing),
      saidAtMs: ack.saidAtMs ?? 0,
      equalAtMs: ack.equalAtMs ?? 0,
    },
  };
}

export function leaderMessageToWire(message: SentByLeader): LeaderWire {
  switch (message.type) {
    case "welcome": {
      const { session, resumed, differing, standing, marks } = message;
      return { welcome: { standing, session, resumed, differing: [...differing], marks: [...marks] } };
    }
    case "changes": {
      const { changes, store } = message;
      return { changes: { ...changesToWire(changes), ...(store ? { store } : {}) } };
    }
    case "heartbeat": {
      return {
        heartbeat: {
          standing: message.standing,
          ...message.beat,
          digest: digestToWire(message.beat.digest),
        },
      };
    }
  }
}

/** Undefined: nothing that this release knows. */
export function leaderMessageFromWire(
  { welcome, changes, heartbeat }: LeaderWire,
): HeardFromLeader | undefined {
  if (welcome) {
    return {
      type: "welcome",
      standing: standingFromWire(welcome.standing),
      session: welcome.session ?? "",
      resumed: welcome.resumed ?? false,
      differing: welcome.differing ?? [],
      marks: marksFromWire(welcome.marks),
    };
  }
  if (changes) {
    const store = storePointFromWire(changes.store);
    return { type: "changes", changes: incoming(changes), ...(store ? { store } : {}) };
  }
  if (!heartbeat) return undefined;
  return {
    type: "heartbeat",
    standing: standingFromWire(heartbeat.standing),
    beat: {
      sequence: heartbeat.sequence ?? 0,
      pending: heartbeat.pending ?? 0,
      digest: digestFromWire(heartbeat.digest),
      revision: heartbeat.revision ?? 0,
      saidAtMs: heartbeat.saidAtMs ?? 0,
      sentAtMs: heartbeat.sentAtMs ?? 0,
    },
  };
}

function incoming(wire: argocdagentha.v1.Changes) {
  const changes = changesFromWire(wire);
  const header = {
    firstSequence: wire.firstSequence ?? 0,
    count: changes.length,
    revision: wire.revision ?? 0,
    snapshot: wire.snapshot ?? false,
    snapshotEnd: wire.snapshotEnd ?? false,
    snapshotRemaining: wire.snapshotRemaining ?? 0,
  };
  return { header, changes };
}

function entryToWire({ key, digest }: KeyDigest): argocdagentha.v1.KeyDigest {
  return { key, digest: digestToWire(digest) };
}

function entryFromWire({ key = "", digest }: argocdagentha.v1.KeyDigest): KeyDigest {
  return { key, digest: digestFromWire(digest) };
}
