/** The steps that are left when the files are written; they stand in NEXT.txt as well. */
import { type Answers, dialled, SIDE_NAMES, type SideName } from "./answers.ts";

const ROUTING =
  "Let the agents' address follow /healthz, which answers 200 at the ACTIVE side alone: gslb/ has examples for Route 53, Cloudflare and HAProxy.";
const AUTHORITY = "Move ca/ to where no principal runs: whoever has ca.key is every agent and both sides.";

/** For two clusters. */
export function clusterSteps({ namespace, sides, front, agents }: Answers): string[] {
  return [
    AUTHORITY,
    ...SIDE_NAMES.map((side) =>
      `In the ${side}'s cluster, which has Argo CD's CRDs and namespace "${namespace}":\n\n` +
      `    kubectl --context ${side.toUpperCase()} apply -k ${side}`
    ),
    `Give the LoadBalancer Service argocd-agent-principal of each side its address: ${
      SIDE_NAMES.map((side) => `${dialled(sides[side])} (${side})`).join(", ")
    }.`,
    ROUTING,
    ...agents.map((agent) =>
      `In the cluster of agent "${agent}", and then restart the agent, which dials ${
        dialled(front)
      }:\n\n    kubectl --context ${agent.toUpperCase()} apply -f agents/${agent}.yaml`
    ),
    `Look whether the pair is ready:\n\n    argocd-agent-ha ha preflight --principal-context PRIMARY`,
  ];
}

/** For two hosts with systemd. */
export function hostSteps({ sides, front, agents }: Answers): string[] {
  return [
    AUTHORITY,
    ...SIDE_NAMES.map((side) =>
      `On ${
        sides[side].host
      }, with this executable at /usr/local/bin/argocd-agent-ha and the files of ${side}/ in /etc/argocd-agent-ha:\n\n` +
      "    useradd --system --home-dir /var/lib/argocd-agent-ha argocd-agent-ha\n" +
      "    chown -R argocd-agent-ha: /etc/argocd-agent-ha\n" +
      "    systemctl enable --now /etc/argocd-agent-ha/argocd-agent-ha.service"
    ),
    ROUTING,
    ...(agents.length > 0
      ? [
        `Give each agent its files of agents/, and the address ${dialled(front)}.`,
      ]
      : []),
    "Look whether the pair is ready, on either host:\n\n    argocd-agent-ha ha preflight",
  ];
}

/** For two processes on this machine. @param admin the ports of HAAdmin */
export function laptopSteps(dir: string, admin: Record<SideName, number>): string[] {
  return [
    ...SIDE_NAMES.map((side) =>
      `Start the ${side} in a terminal of its own:\n\n    set -a; . ${dir}/${side}/principal.env; set +a; argocd-agent-ha principal`
    ),
    `Look at both, and move the role over:\n\n` +
    `    argocd-agent-ha ha status -a 127.0.0.1:${admin.primary}\n` +
    `    argocd-agent-ha ha status -a 127.0.0.1:${admin.replica}\n` +
    `    argocd-agent-ha ha switchover --yes -a 127.0.0.1:${admin.primary}`,
  ];
}

/** As a list that is numbered. */
export function numbered(steps: readonly string[]): string {
  return steps.map((step, n) => `${n + 1}. ${step.replaceAll("\n    ", "\n       ")}\n`).join("\n");
}
