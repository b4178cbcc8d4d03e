/** Resource versions are compared as numbers, which Kubernetes allows since 1.35 (KEP-5504) and etcd has always made true. */

/** Whether resource version `a` is newer than `b`; any is newer than the empty one. */
export function isNewer(a: string, b: string): boolean {
  return a.length === b.length ? a > b : a.length > b.length;
}
