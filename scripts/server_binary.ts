/** Where binaries of real servers for tests are kept, and why one is not there. */

/** The folder of this project in the user's cache. */
export function cacheFolder(): string {
  const cache = Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME") ?? "/tmp"}/.cache`;
  return `${cache}/argocd-agent-ha`;
}

export function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** Why a command failed; `absent` where it is not installed. Deno answers NotCapable for an allowed command that is not there. */
export function reasonOrAbsent(error: unknown, absent: string): string {
  if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotCapable) return absent;
  return (error as Error).message;
}
