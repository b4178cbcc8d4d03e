/** The composition root of the stores: the embedded one or the cluster, the lock on it, and the noticeboard in it. */
import { type Detail, type Log, teller } from "./base/log.ts";
import { FileLock } from "./adapters/store/file_lock.ts";
import { makeFolder } from "./adapters/store/private_files.ts";
import { openSqlite } from "./adapters/store/sqlite.ts";
import type { Settings } from "./config/settings.ts";
import { admits } from "./domain/resources/scope.ts";
import type { Noticeboard } from "./principal/ports/noticeboard.ts";
import type { Store } from "./principal/ports/store.ts";
import type { StoreLock } from "./principal/ports/store_lock.ts";
import type { ApiRequestCounting } from "./principal/ports/telemetry.ts";
import { toldStore } from "./principal/core/told_store.ts";

/** Opens the lock on the store. @throws StoreError */
export async function openLock(
  { store, dataDir, scope, leaseMs, podUid }: Settings,
  requests: ApiRequestCounting,
): Promise<StoreLock> {
  if (store.type === "sqlite") {
    makeFolder(dataDir);
    return new FileLock(store.path);
  }
  const { kubernetesLock } = await import("./adapters/store/kubernetes_lock.ts");
  return kubernetesLock({ ...store, namespace: scope.namespace, leaseMs, podUid, requests });
}

/** Opens the store that the settings name, and tells of what goes on there where that is wanted. @throws StoreError */
export async function openStore(
  settings: Settings,
  mayWrite: () => boolean,
  log: Log,
  requests: ApiRequestCounting,
): Promise<Store> {
  const told = (kind: Detail) => teller(log, kind, settings.log);
  return toldStore(await opened(settings, mayWrite, log, requests), told("actions"), told("informers"));
}

/** The Deployment on which this side's state is shown; undefined: none is named, or the store is no cluster. @throws StoreError */
export async function openBoard(
  { store, scope: { namespace }, haDeployment: deployment, haEnabled }: Settings,
  mayWrite: () => boolean,
  log: Log,
  requests: ApiRequestCounting,
): Promise<Noticeboard & { close(): Promise<void> } | undefined> {
  if (store.type === "sqlite" || deployment === "" || !haEnabled) return undefined;
  const { kubernetesBoard } = await import("./adapters/store/kubernetes_board.ts");
  const unusable = (reason: string) =>
    log.warn("this side's state cannot be shown on its Deployment", { deployment, reason });
  return kubernetesBoard({ ...store, namespace, deployment, mayWrite, unusable, requests });
}

/** The Kubernetes client is loaded only where it is used. */
async function opened(
  { store, scope }: Settings,
  mayWrite: () => boolean,
  log: Log,
  requests: ApiRequestCounting,
): Promise<Store> {
  if (store.type === "sqlite") return openSqlite(store.path, { note: (sentence) => log.warn(sentence) });
  const { openKubernetes } = await import("./adapters/store/kubernetes.ts");
  return openKubernetes({
    ...store,
    namespace: scope.namespace,
    admits: (namespace) => admits(scope, namespace),
    labelSelector: scope.labelSelector?.text ?? "",
    mayWrite,
    requests,
  });
}
