/**
 * The version of an agent's cluster as its API server would tell it. Agents cannot be asked; what a person says of the cluster counts, for
 * Argo CD checks the charts of new Applications against it.
 */

/** The annotation of a cluster Secret with the version of its cluster, e.g. `1.33.2`. */
export const KUBERNETES_VERSION = "argocd-agent.argoproj-labs.io/kubernetes-version";

/** As the Go principal says of every cluster. */
const DEFAULT = "v1.28.5+argocd-agent";
const VERSION = /^v?((\d{1,4})\.(\d{1,4})\.\d{1,4}(?:[-+][0-9A-Za-z.+-]{1,64})?)$/;

/** The answer to `/version`, as JSON text. @param given what is said of the cluster; anything but a version counts as nothing */
export function versionAnswer(given = ""): string {
  const [, version, major, minor] = VERSION.exec(given) ?? VERSION.exec(DEFAULT) ?? [];
  return JSON.stringify({
    major,
    minor,
    gitVersion: `v${version}`,
    gitCommit: "",
    gitTreeState: "clean",
    buildDate: "",
    goVersion: "",
    compiler: "",
    platform: "",
  });
}
