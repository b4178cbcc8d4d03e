/**
 * Names that replication never writes or deletes, whatever their labels say: the keys and passwords of Argo CD and of both principals, and
 * this principal's own state. Of other kinds than Secrets the names are in KINDS already.
 */
import type { Scope } from "./scope.ts";

/** The state of this principal: what it remembers, kept objects, the history. */
const OWN_STATE = "argocd-agent-ha-";

const SECRETS: ReadonlySet<string> = new Set([
  "argocd-secret",
  "argocd-initial-admin-secret",
  "argocd-notifications-secret",
  "argocd-redis",
  "argocd-redis-tls",
  "argocd-redis-proxy-tls",
  "argocd-server-tls",
  "argocd-repo-server-tls",
  "argocd-dex-server-tls",
  "argocd-agent-jwt",
  "argocd-agent-ca",
  "argocd-agent-principal-tls",
  "argocd-agent-principal-userpass",
  "argocd-agent-client-tls",
  "argocd-agent-resource-proxy-tls",
]);

/** Whether an object of this API kind and name is out of replication's reach. */
export function isReserved(kind: string, name: string, { ownSecrets }: Scope): boolean {
  return kind === "Secret" && (name.startsWith(OWN_STATE) || SECRETS.has(name) || ownSecrets.includes(name));
}
