/**
 * The one table of what needs a person: status, watch, explain, preflight and metrics print from it, on both sides. A new concern is an
 * entry here and a supplier of its count in `src/principal/core/concerns.ts`; principals tell each other theirs whenever one asks.
 */

/** How much of one concern there is, and some of it by name. */
export interface Noted {
  count: number;
  /** A key, with the reason where there is one. */
  examples: readonly string[];
}

/** The words of one concern. */
export interface Concern {
  /** Its word in status and preflight. */
  label: string;
  /** `3 changes cannot be written`. */
  sentence(count: number): string;
  /** The next command, typed at the side that has the concern; empty: it is a fact, and needs nothing. */
  next: string;
  /** The command alone; empty where nothing needs doing. */
  command: string;
  /** `argocd_agent_ha_…`. */
  metric: string;
  help: string;
  /** Whether a side with it is not ready for a failover: the preflight then fails. */
  unready: boolean;
}

/** So many are named. */
export const EXAMPLES = 5;

const MAX_EXAMPLE = 300;
const count = (n: number, one: string, many = `${one}s`) =>
  `${n.toLocaleString("en-US")} ${n === 1 ? one : many}`;

export const CONCERNS = {
  held: {
    label: "held",
    sentence: (n) => `${count(n, "change")} cannot be written`,
    next: "ha status says which and why",
    command: "ha status",
    metric: "argocd_agent_ha_held_keys",
    help: "Received changes that the store refuses now",
    unready: true,
  },
  losses: {
    label: "losses",
    sentence: (n) =>
      count(n, "overwritten or deleted state waits", "overwritten or deleted states wait") +
      " for a decision",
    next: "ha reconcile; --adopt is for the ACTIVE",
    command: "ha reconcile",
    metric: "argocd_agent_ha_losses",
    help: "Overwritten or deleted states that wait for ha reconcile",
    unready: false,
  },
  restored: {
    label: "restored",
    sentence: (n) =>
      `${
        count(n, "leader has", "leaders have")
      } a store older than this side had heard of; newer states and objects here are kept`,
    next: "ha reconcile; --adopt is for the ACTIVE",
    command: "ha reconcile",
    metric: "argocd_agent_ha_leader_restored",
    help: "The leader's store was restored from a copy older than what this side had of it",
    unready: false,
  },
  foreign: {
    label: "foreign",
    sentence: (n) =>
      `${count(n, "object")} of this store ${n === 1 ? "is" : "are"} not in the leader's data and ${
        n === 1 ? "is" : "are"
      } neither served nor replicated`,
    next: "ha reconcile; --adopt is for the ACTIVE",
    command: "ha reconcile",
    metric: "argocd_agent_ha_foreign_objects",
    help: "Objects of this store that are not in the leader's data, and wait for ha reconcile",
    unready: false,
  },
  deletions: {
    label: "deletions",
    sentence: (n) =>
      `${count(n, "deletion waits", "deletions wait")} for a decision, many at once or from absence`,
    next:
      "ha deletions, then --release or --restore; on a replica, ha reconcile --adopt at the ACTIVE restores",
    command: "ha deletions",
    metric: "argocd_agent_ha_held_deletions",
    help: "Deletions that the guard holds until an operator decides",
    unready: true,
  },
  pending: {
    label: "pending",
    sentence: (n) => `${count(n, "deletion is", "deletions are")} requested and not carried out`,
    next: "ha deletions",
    command: "ha deletions",
    metric: "argocd_agent_ha_pending_deletions",
    help: "Objects whose deletion is requested and waits for finalizers or for an operator",
    unready: false,
  },
  drift: {
    label: "drift",
    sentence: (n) => `${count(n, "copy was", "copies were")} changed by another writer`,
    next:
      "find who writes there and stop it; each is restored while the active can be asked, or else by a promotion",
    command: "ha status",
    metric: "argocd_agent_ha_drifted_copies",
    help: "Copies that another writer changed and that are not restored yet",
    unready: true,
  },
  writers: {
    label: "writers",
    sentence: (n) => `${count(n, "other writer keeps", "other writers keep")} changing copies`,
    next: "stop each with the command beside it, on this side",
    command: "ha status",
    metric: "argocd_agent_ha_other_writers",
    help:
      "Writers beside replication that changed a copy on a replica more than once in the last ten minutes",
    unready: true,
  },
  differing: {
    label: "differing",
    sentence: (n) => `${count(n, "key differs", "keys differ")} from the other side's`,
    next: "ha diff, then ha diff --repair",
    command: "ha diff",
    metric: "argocd_agent_ha_differing_keys",
    help: "Keys that differed when both sides were last compared, and were not proved equal since",
    unready: true,
  },
  dependencies: {
    label: "dependencies",
    sentence: (n) => `${count(n, "thing is", "things are")} missing that the other side's resources name`,
    next: "create what is missing on this side, or replicate it; see Dependencies in docs/operations.md",
    command: "ha preflight",
    metric: "argocd_agent_ha_dependencies_missing",
    help: "Clusters, projects and repositories that the ACTIVE side's resources name and this side lacks",
    unready: true,
  },
  peerEpoch: {
    label: "peer's epoch",
    sentence: (n) => `${count(n, "claim")} of the peer about its epoch cannot be true and is not heard`,
    next: "ha status on the peer; see Epochs in docs/security.md",
    command: "ha status",
    metric: "argocd_agent_ha_unbelievable_peer_epochs",
    help: "1 while the peer claims an epoch that is not believed",
    unready: true,
  },
  unusable: {
    label: "unusable",
    sentence: (n) =>
      `${count(n, "object")} of this store cannot be used and ${
        n === 1 ? "is" : "are"
      } neither served nor replicated`,
    next: "correct or delete each (kubectl, or store apply and store delete); ha status says which and why",
    command: "ha status",
    metric: "argocd_agent_ha_unusable_objects",
    help: "Objects of this store that are beyond the bounds of an object, or at which handling fails",
    unready: true,
  },
  agentClaims: {
    label: "agents' claims",
    sentence: (n) => `${count(n, "claim of an agent is", "claims of agents are")} refused`,
    next: "see Agents in docs/security.md; an agent that is to change its mode: ha forget-agent NAME",
    command: "ha status",
    metric: "argocd_agent_ha_refused_agent_claims",
    help: "Resources of others, modes and policies that agents claimed within a day and were refused",
    unready: false,
  },
  agentQuotas: {
    label: "agents' quotas",
    sentence: (n) =>
      `${count(n, "agent has", "agents have")} more than the quota; what adds to it is refused`,
    next:
      "delete at the agent what it does not need, or raise the flag that is named; see Bounds in docs/security.md",
    command: "ha status",
    metric: "argocd_agent_ha_agents_over_quota",
    help: "Agents of which something is refused because it would exceed their quota",
    unready: false,
  },
  agentsAway: {
    label: "agents away",
    sentence: (n) =>
      `${count(n, "agent")} that ${
        n === 1 ? "was" : "were"
      } connected before this side became ACTIVE or started ${n === 1 ? "is" : "are"} not back`,
    next:
      "look at the log of each: does it reach the name that leads here, and is it refused; one that is gone for good: ha forget-agent NAME",
    command: "ha status",
    metric: "argocd_agent_ha_agents_not_back",
    help:
      "Agents that were connected before this side became ACTIVE or started, a minute ago or longer, and are not back",
    unready: false,
  },
  history: {
    label: "history",
    sentence: (n) => `${count(n, "place")} in the history ${n === 1 ? "is" : "are"} not as it was written`,
    next: "keep it (ha history -o json > FILE), and find who writes ConfigMap argocd-agent-ha-history",
    command: "ha history",
    metric: "argocd_agent_ha_history_broken",
    help:
      "1 while an entry of this side's history is not what was written, or does not follow on the one before",
    unready: false,
  },
  owners: {
    label: "owners",
    sentence: (n) =>
      `${
        count(n, "resource has", "resources have")
      } an owner that is not replicated, which the copies do not name`,
    next:
      "if a failover is to keep the owner, replicate it: take the label ignore-sync off, or admit its namespace",
    command: "ha status",
    metric: "argocd_agent_ha_unreplicated_owners",
    help: "Resources whose ApplicationSet is not replicated, so that their copies have no owner",
    unready: false,
  },
  ui: {
    label: "UI",
    sentence: (n) =>
      `${
        count(n, "service behind Argo CD's UI does", "services behind Argo CD's UI do")
      } not work; agents are served without`,
    next: "make what is named, which is looked for again by itself, or switch that service off",
    command: "ha preflight",
    metric: "argocd_agent_ha_ui_services_down",
    help:
      "Services behind Argo CD's UI that do not work: a resource proxy that waits for its Secrets, a Redis that cannot be written",
    unready: false,
  },
  inCluster: {
    label: "in-cluster",
    sentence: (n) =>
      `${count(n, "Application")} of Argo CD's own cluster ${n === 1 ? "is" : "are"} not replicated ` +
      "(--ha-replicate-in-cluster-applications)",
    next: "",
    command: "",
    metric: "argocd_agent_ha_in_cluster_applications",
    help: "Applications that Argo CD deploys into its own cluster, which are not replicated",
    unready: false,
  },
} as const satisfies Record<string, Concern>;

export type ConcernName = keyof typeof CONCERNS;

/** One side's concerns; an absent one is none. */
export type Concerns = { readonly [Name in ConcernName]?: Noted | undefined };

/** Some lines as examples of `total`. */
export function noted(lines: readonly string[], total = lines.length): Noted {
  return { count: total, examples: lines.slice(0, EXAMPLES).map((line) => line.slice(0, MAX_EXAMPLE)) };
}

/** How many of one there are. */
export function countOf(concerns: Concerns, name: ConcernName): number {
  return concerns[name]?.count ?? 0;
}

/** A concern of which there is some. */
export interface Present extends Noted, Concern {
  name: ConcernName;
}

/** Those of which there are some, in the table's order. */
export function present(concerns: Concerns): Present[] {
  return (Object.entries(CONCERNS) as [ConcernName, Concern][]).flatMap(([name, concern]) => {
    const found = concerns[name];
    return found && found.count > 0 ? [{ name, ...concern, ...found }] : [];
  });
}

/** Whether a text names a concern. */
export function isConcern(name: string): name is ConcernName {
  return Object.hasOwn(CONCERNS, name);
}
