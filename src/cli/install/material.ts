/** The certificates and keys of an installation: one CA for both sides and the agents, one key for agents' tokens. */
import { Authority, type Issued, signingKey } from "../../adapters/tls/pki.ts";
import { type Answers, type File, SIDE_NAMES, type SideName } from "./answers.ts";

export interface Material {
  ca: Issued;
  /** Both usages: a side presents it to agents and to its peer. */
  principals: Record<SideName, Issued>;
  /** Of the resource proxy, the same at both sides. */
  resourceProxy: Issued;
  /** One key: a token counts at both sides. */
  jwtKey: string;
  /** By agent: its own certificate, and Argo CD's for its cluster. */
  agents: ReadonlyMap<string, { own: Issued; cluster: Issued }>;
}

export async function makeMaterial({ namespace, sides, front, agents, days }: Answers): Promise<Material> {
  const authority = await Authority.create(days);
  const client = (commonName: string) => authority.issue({ commonName, sans: [], server: false });
  const server = (commonName: string, names: string[]) =>
    authority.issue({
      commonName,
      sans: [...new Set([...names, "localhost", "127.0.0.1"])],
      server: true,
    });
  const inCluster = (service: string) => [service, `${service}.${namespace}`, `${service}.${namespace}.svc`];
  const [primary, replica] = await Promise.all(
    SIDE_NAMES.map((side) =>
      server(side, [sides[side].host, front.host, ...inCluster("argocd-agent-principal")])
    ),
  ) as [Issued, Issued];
  const made = await Promise.all(
    agents.map(async (name) => [name, { own: await client(name), cluster: await client(name) }] as const),
  );
  return {
    ca: authority.pem,
    principals: { primary, replica },
    resourceProxy: await server("argocd-agent-resource-proxy", inCluster("argocd-agent-resource-proxy")),
    jwtKey: await signingKey(),
    agents: new Map(made),
  };
}

/** The CA with its key, to be kept where no principal runs. */
export function authorityFiles({ ca }: Material): File[] {
  return [{ path: "ca/ca.crt", text: ca.cert }, { path: "ca/ca.key", text: ca.key, secret: true }];
}
