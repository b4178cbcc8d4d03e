/** Where a program looks for a kubeconfig: client-go's loading rules, which kubectl and the Go principal follow. */
import { delimiter } from "node:path";

/** One variable of the environment. */
export type Env = (name: string) => string | undefined;

/**
 * The kubeconfig files to merge, first one wins: the one that a flag names; else those of $KUBECONFIG that exist, or all that it names
 * where none exists; else ~/.kube/config where it exists. None: there is no kubeconfig.
 */
export function kubeconfigFiles(flag: string, env: Env = (name) => Deno.env.get(name)): string[] {
  if (flag !== "") return [flag];
  const named = [...new Set((env("KUBECONFIG") ?? "").split(delimiter).filter(Boolean))];
  if (named.length > 0) {
    const existing = named.filter(isFile);
    return existing.length > 0 ? existing : named;
  }
  return [`${env("HOME") ?? ""}/.kube/config`].filter(isFile);
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
