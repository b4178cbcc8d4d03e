/**
 * `deno task kube:build`: a real etcd, kube-apiserver and kube-controller-manager in one binary, for tests. It is built
 * from tests/kube into a cache folder outside the work tree, and only when its inputs changed; the last line printed
 * is the binary's path. Where KUBEBUILDER_ASSETS is set, nothing is built: that folder holds the binaries.
 */
import { hash } from "node:crypto";

const module = new URL("../tests/kube/", import.meta.url).pathname;

/** The Kubernetes release of the module, e.g. `v1.36.3`. */
export function kubernetesVersion(): string {
  return /k8s\.io\/kubernetes (v[\d.]+)/.exec(Deno.readTextFileSync(`${module}go.mod`))?.[1] ?? "";
}

/** Where the binary of these sources is, or will be. */
export function kubeBinary(): string {
  const inputs = ["main.go", "go.mod", "go.sum"].map((name) => Deno.readTextFileSync(`${module}${name}`))
    .join("\n");
  const cache = Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME") ?? "/tmp"}/.cache`;
  return `${cache}/argocd-agent-ha/kube-${hash("sha256", inputs, "hex").slice(0, 16)}`;
}

/** Builds the binary unless it is there. @throws Error when Go is missing or the build fails */
export async function buildKube(): Promise<string> {
  const binary = kubeBinary();
  if (exists(binary)) return binary;
  Deno.mkdirSync(binary.replace(/[^/]*$/, ""), { recursive: true });
  const version = kubernetesVersion();
  console.error(
    `building a real API server (Kubernetes ${version}) for the tests, once: 3 to 6 minutes with Go on two cores`,
  );
  const [, major, minor] = /^v(\d+)\.(\d+)/.exec(version) ?? [];
  const set = (name: string, value: string) => `-X k8s.io/component-base/version.${name}=${value}`;
  const flags = [
    "-s",
    "-w",
    set("gitVersion", version),
    set("gitMajor", major ?? ""),
    set("gitMinor", minor ?? ""),
  ];
  const unfinished = `${binary}.${Deno.pid}`;
  const { success } = await new Deno.Command("go", {
    args: ["build", "-trimpath", "-ldflags", flags.join(" "), "-o", unfinished, "."],
    cwd: module,
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
  }).output();
  if (!success) throw new Error("go build of tests/kube failed; see above");
  Deno.renameSync(unfinished, binary);
  return binary;
}

/** Why there is no binary, and the remedy. Deno answers NotCapable for an allowed command that is not there. */
export function whyNot(error: unknown): string {
  const absent = error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotCapable;
  const reason = absent ? "Go is not installed" : (error as Error).message;
  return `${reason}; install Go 1.26, or set KUBEBUILDER_ASSETS`;
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

if (import.meta.main) {
  const assets = Deno.env.get("KUBEBUILDER_ASSETS");
  try {
    console.log(assets ?? await buildKube());
  } catch (error) {
    console.error(`cannot build the test cluster: ${whyNot(error)}`);
    Deno.exit(1);
  }
}
