/**
 * `deno task kube:build`: a real etcd, kube-apiserver and kube-controller-manager in one binary, for tests. It is built
 * from tests/kube into a cache folder outside the work tree, and only when its inputs changed; the last line printed
 * is the binary's path. Where KUBEBUILDER_ASSETS is set, nothing is built: that folder holds the binaries.
 */
import { sha256 } from "../src/base/sha256.ts";
import { cacheFolder, isFile, reasonOrAbsent } from "./server_binary.ts";

const module = new URL("../tests/kube/", import.meta.url).pathname;

/** The Kubernetes release of the module, e.g. `v1.36.3`. */
export function kubernetesVersion(): string {
  return /k8s\.io\/kubernetes (v[\d.]+)/.exec(Deno.readTextFileSync(`${module}go.mod`))?.[1] ?? "";
}

/** Where the binary of these sources is, or will be. */
export function kubeBinary(): string {
  const inputs = ["main.go", "go.mod", "go.sum"].map((name) => Deno.readTextFileSync(`${module}${name}`))
    .join("\n");
  return `${cacheFolder()}/kube-${sha256(inputs).slice(0, 16)}`;
}

/** Builds the binary unless it is there. @throws Error when Go is missing or the build fails */
export async function buildKube(): Promise<string> {
  const binary = kubeBinary();
  if (isFile(binary)) return binary;
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

/** Why there is no binary, and the remedy. */
export function whyNot(error: unknown): string {
  return `${reasonOrAbsent(error, "Go is not installed")}; install Go 1.26, or set KUBEBUILDER_ASSETS`;
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
