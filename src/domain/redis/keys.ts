/**
 * The keys of Argo CD's Redis that an agent's cluster has and the hub has not: what an application controller wrote of an Application's
 * resources. Argo CD names them `app|KIND|INSTANCE|FORMAT`, where INSTANCE is NAMESPACE_NAME outside its own namespace.
 */
import { isDnsLabel, isDnsSubdomain } from "../resources/keys.ts";

/** Argo CD's own version of the form of what it caches, in the keys. */
export const CACHE_FORMAT = "1.8.3";

/** A key about one Application. */
export interface ApplicationKey {
  /** The key without the hub's own prefix, as an agent is asked for it. */
  key: string;
  /** Empty: Argo CD's own namespace. */
  namespace: string;
  name: string;
  /** A piece of a resource tree that Argo CD has split. */
  sharded: boolean;
}

const FORM = /^app\|(managed-resources|resources-tree)\|([^|]+)(\|[1-9]\d{0,5})?\|[^|]+$/;
/** A namespace, `_`, a name, and what stands around them. */
const MAX_LENGTH = 512;

/** The Application that a key or a channel is about; undefined: about none. `prefix` may stand before it. */
export function applicationKey(full: string, prefix = ""): ApplicationKey | undefined {
  const key = full.startsWith(prefix) ? full.slice(prefix.length) : full;
  if (key.length > MAX_LENGTH) return undefined;
  const [, kind, instance = "", shard] = FORM.exec(key) ?? [];
  if (kind === undefined || (shard !== undefined && kind !== "resources-tree")) return undefined;
  const at = instance.indexOf("_");
  const namespace = instance.slice(0, Math.max(0, at));
  const name = instance.slice(at + 1);
  if ((at >= 0 && !isDnsLabel(namespace)) || !isDnsSubdomain(name)) return undefined;
  return { key, namespace, name, sharded: shard !== undefined };
}
