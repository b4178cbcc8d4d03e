/** The resources of the control plane, by the Go principal's names, and the work that is open. */
import { gauge, type Metric, total } from "./metric.ts";
import { type Tallied, TALLIES, type Tally } from "./resource_tally.ts";

const NAMES: Record<Tallied, string> = {
  Application: "principal_applications",
  AppProject: "principal_app_projects",
  Repository: "principal_repositories",
  ApplicationSet: "argocd_principal_appsets",
};

const HELP = {
  created: "that came since this process started, those that were there included",
  updated: "that changed",
  deleted: "that went",
};

const OPERATIONS = Object.fromEntries(
  (Object.keys(NAMES) as Tallied[]).flatMap((kind) =>
    TALLIES.map((tally) => [
      `${kind} ${tally}`,
      total(
        `${NAMES[kind]}_${tally}`,
        `${plural(kind)} ${HELP[tally]}`,
        (from) => from.tally.of(kind, tally),
      ),
    ])
  ),
) as Record<`${Tallied} ${Tally}`, Metric>;

/** The metrics of resources. */
export const RESOURCES = {
  ...OPERATIONS,
  gpgKeys: gauge("argocd_principal_gpg_keys_count", "Argo CD's GPG keys", (from) => from.tally.gpgKeys),
  openWork: gauge(
    "go_goroutines",
    "Connections and gRPC calls that are open: there are no goroutines here, and this number shows what theirs shows",
    (from) => from.work.open(),
  ),
  maxDescriptors: gauge(
    "process_max_fds",
    "File descriptors that the bounds of this process let it open; the system's limit cannot be read, see ulimit -n",
    (from) => from.work.descriptors(),
  ),
};

function plural(kind: Tallied): string {
  return kind === "Repository" ? "Repositories" : `${kind}s`;
}
