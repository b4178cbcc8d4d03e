/**
 * Deno's permissions of the executable, and what a principal gives up once it knows its settings: a process that was taken over can then
 * neither start a program nor write a file that it does not need.
 */
import { kubeconfigFiles } from "../adapters/kube/kubeconfig_files.ts";
import type { Settings } from "../config/settings.ts";

/** The facts of the machine that a principal does not ask for; it asks for `hostname` and `osUptime`. */
const UNASKED = [
  ...["osRelease", "loadavg", "networkInterfaces", "systemMemoryInfo", "uid", "gid", "username", "cpus"],
  ...["homedir", "getegid", "getPriority", "setPriority", "userInfo", "statfs"],
];

/**
 * Facts of the machine, and V8's inspector of this process for `--pprof-port`: Deno permits that one by no name of its own, so the
 * others are denied by theirs. @param more facts beside
 */
export function sysPermissions(...more: string[]): string[] {
  return ["--allow-sys", `--deny-sys=${UNASKED.filter((fact) => !more.includes(fact)).join(",")}`];
}

/** Of every command; a principal reads certificates and dials where its settings say. */
export const PERMISSIONS: readonly string[] = [
  "--allow-net",
  "--allow-read",
  "--allow-write",
  "--allow-env",
  ...sysPermissions(),
];

/** Programs that kubeconfigs name for credentials; another one is named when the executable is made (PLUGINS). */
const PLUGINS = ["aws", "aws-iam-authenticator", "gke-gcloud-auth-plugin", "kubelogin", "kubectl-oidc_login"];
/** `demo` starts itself, where it is found by its name. */
const SELF = "argocd-agent-ha";

/** The programs that the executable may start, and no other. */
export function runPermission(plugins: string): string {
  const named = plugins.split(",").map((name) => name.trim()).filter(Boolean);
  return `--allow-run=${[SELF, ...(named.length > 0 ? named : PLUGINS)].join(",")}`;
}

/** The permissions that a principal with these settings never uses. */
export function unused({ store }: Pick<Settings, "store">): Deno.PermissionDescriptor[] {
  if (store.type === "sqlite") return [{ name: "run" }];
  // A kubeconfig may name a plugin; a pod's service account has none.
  const inPod = kubeconfigFiles(store.kubeconfig).length === 0;
  return inPod ? [{ name: "write" }, { name: "run" }] : [{ name: "write" }];
}

/** Gives them up for the rest of this process. */
export async function giveUp(permissions: readonly Deno.PermissionDescriptor[]): Promise<void> {
  for (const permission of permissions) await Deno.permissions.revoke(permission);
}
