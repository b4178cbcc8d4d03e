/** How a principal is opened: with what its store holds, or without it while another process holds the lock on that. */
import type { Log } from "../base/log.ts";
import { ChangeIndex, type Entry } from "../domain/changes/index.ts";
import { IdentifiedStore } from "./core/identified_store.ts";
import { Refusal } from "../domain/ha/refusal.ts";
import type { AgentCleanup } from "./active/agent_cleanup.ts";
import { ClusterSecrets } from "./active/cluster_secrets.ts";
import { Dependencies } from "../domain/resources/dependencies.ts";
import { ForeignObjects } from "./core/foreign_objects.ts";
import { type Changed, Feed } from "./core/feed.ts";
import { History } from "./core/history.ts";
import { DeletionRecord } from "./core/deletion_record.ts";
import type { DriftRepair } from "./replica/drift_repair.ts";
import { PeerStore } from "./core/peer_store.ts";
import type { ChangeTraces } from "./core/change_traces.ts";
import { StoreMarks } from "./core/store_marks.ts";
import { UnreadParams } from "./core/unread_params.ts";
import { principalUid, readMemory } from "./core/memory.ts";
import { WriteBack } from "./active/write_back.ts";
import type { Waiting } from "../domain/ha/state.ts";
import { NOT_ASKED } from "./core/peer.ts";
import { UNTOUCHED } from "./core/untouched_store.ts";
import { NO_CLUSTER_INFO } from "./ports/cluster_info.ts";
import { composed, type Core, type CoreParts } from "./principal.ts";

/** Reads the store and puts a principal together. @throws StoreError where the store lacks what will not come by itself */
export async function openCore(parts: CoreParts): Promise<Core> {
  const { settings, log, monitor } = parts;
  let writeBack: WriteBack | undefined;
  let deletions: DeletionRecord | undefined;
  let cleanup: AgentCleanup | undefined;
  const store = new IdentifiedStore(parts.store, (key) => void writeBack?.annotation(key));
  const index = new ChangeIndex(crypto.randomUUID());
  const uid = await monitor.patiently(() => principalUid(store, settings.namespace));
  const memory = await monitor.patiently(() => readMemory(store, settings.namespace));
  const marks = new StoreMarks(store, settings.namespace, log);
  await monitor.patiently(() => marks.leaveFirst());
  const peerStore = new PeerStore(store, settings.namespace, log);
  await monitor.patiently(() => peerStore.load());
  const clusters = new ClusterSecrets();
  const feeding = new AbortController();
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => {});
  const foreign = new ForeignObjects(store, settings.namespace, log);
  await monitor.patiently(() => foreign.load());
  const dependencies = new Dependencies(settings.scope);
  const hears: ChangeHearers = {};
  const changed = toldTo(hears);
  const gone = (entry: Entry, concluded: boolean) => {
    deletions?.gone(entry, concluded);
    cleanup?.objectGone(entry, concluded);
  };
  index.onWithheld = tellWithheld(log);
  const observers = [clusters, dependencies, marks, new UnreadParams(settings, log)];
  const feed = new Feed(store, index, settings.scope, observers, foreign, changed, gone);
  foreign.onChange = (key) => feed.refresh(key);
  const ended = feed.run(feeding.signal).catch((error) => failed.reject(error));
  const stopFeed = async () => {
    feeding.abort();
    await ended;
  };
  try {
    monitor.follow();
    await feed.synced;
    await marks.settled();
    const chain = new History(store, settings, log);
    await monitor.patiently(() => chain.load());
    const clusterInfo = await parts.clusterInfo(clusters);
    const readFirst = { store, index, uid, clusters, dependencies, chain, clusterInfo, foreign, feed };
    const read = { ...parts, ...readFirst, marks, peerStore };
    const { roles, core } = composed(read, memory);
    writeBack = roles.writeBack;
    Object.assign(hears, { traces: roles.traces, copies: roles.copies });
    deletions = roles.deletions;
    cleanup = roles.cleanup;
    clusters.onGone = (agent) => roles.cleanup.secretGone(agent);
    await monitor.patiently(() => core.kept.load());
    await monitor.patiently(() => roles.exposure.load());
    marks.keepOn();
    const stop = async () => {
      await core.rest("this principal is shutting down");
      core.caches.close();
      roles.cleanup.stop();
      await marks.stop();
      await peerStore.stop();
      await roles.deletions.flush();
      await clusterInfo.close();
      await stopFeed();
    };
    return { ...core, failed: failed.promise, stop };
  } catch (error) {
    await stopFeed();
    throw error;
  }
}

/** The parts that hear of each change of the store, once they are there. */
interface ChangeHearers {
  traces?: ChangeTraces;
  copies?: DriftRepair;
}

function toldTo(hears: ChangeHearers): Changed {
  return (key, before, manager) => {
    hears.traces?.changed(key, before, manager);
    hears.copies?.changed(key, before, manager);
  };
}

function tellWithheld(log: Log): ChangeIndex["onWithheld"] {
  return (key, reason) =>
    log.warn(
      "an object of this store cannot be used and is neither served nor replicated; correct or delete it",
      { event: "object_unusable", key, reason },
    );
}

/** A principal that may not touch its store because another process acts on it: it answers its operator and the probes. */
export interface WaitingCore extends Omit<Core, "failed" | "stop"> {
  /** Tells why this process does not act. */
  wait(waiting: Waiting): void;
}

/** Puts a principal together that knows nothing of its store. */
export function waitingCore(
  parts: Omit<CoreParts, "store" | "tenure" | "peer" | "tokens" | "clusterInfo">,
): WaitingCore {
  const { settings, log } = parts;
  const { namespace } = settings;
  const index = new ChangeIndex(crypto.randomUUID());
  const clusters = new ClusterSecrets();
  const store = new IdentifiedStore(UNTOUCHED, () => {});
  const foreign = new ForeignObjects(store, namespace, log);
  const { roles, core } = composed({
    ...parts,
    store,
    tenure: { holds: () => false },
    peer: {
      connect: notAsked,
      healthy: notAsked,
      certificates: () => ({}),
      certificateNotAfterMs: () => 0,
      certificateProblem: () => "",
    },
    tokens: undefined,
    clusterInfo: NO_CLUSTER_INFO,
    index,
    clusters,
    dependencies: new Dependencies(settings.scope),
    uid: "",
    chain: new History(store, settings, log),
    foreign,
    marks: new StoreMarks(store, namespace, log),
    peerStore: new PeerStore(store, namespace, log),
    feed: new Feed(store, index, settings.scope, [clusters], foreign, () => {}),
  }, undefined);
  return { ...core, wait: (waiting) => roles.driver.input({ type: "waiting", waiting }) };
}

function notAsked(): never {
  throw new Refusal(NOT_ASKED, "unavailable");
}
