/** Examples of what makes the agents' one address follow `/healthz`: Route 53, Cloudflare and HAProxy. */
import { type Address, type Answers, dialled, type File, SIDE_NAMES, type SideName } from "./answers.ts";

/** The port at which each side's host answers the health check. */
export type HealthPorts = Record<SideName, number>;

export function routingFiles(answers: Answers, health: HealthPorts): File[] {
  return [
    ...SIDE_NAMES.map((side) => ({
      path: `gslb/route53-health-${side}.json`,
      text: json(healthCheck(answers.sides[side], health[side])),
    })),
    { path: "gslb/route53-records.json", text: json(records(answers)) },
    { path: "gslb/cloudflare.json", text: json(cloudflare(answers, health)) },
    { path: "gslb/haproxy.cfg", text: haproxy(answers, health) },
  ];
}

const isAddress = (host: string) => host.includes(":") || /^[0-9.]+$/.test(host);
const recordType = (host: string) => host.includes(":") ? "AAAA" : isAddress(host) ? "A" : "CNAME";

function healthCheck({ host }: Address, port: number): Record<string, unknown> {
  return {
    Type: "HTTP",
    ...(isAddress(host) ? { IPAddress: host } : { FullyQualifiedDomainName: host }),
    Port: port,
    ResourcePath: "/healthz",
    RequestInterval: 10,
    FailureThreshold: 2,
  };
}

/** Failover records: the secondary is answered while the primary's health check fails. */
function records({ front, sides }: Answers): Record<string, unknown> {
  const record = (side: SideName) => ({
    Action: "UPSERT",
    ResourceRecordSet: {
      Name: front.host,
      Type: recordType(sides[side].host),
      SetIdentifier: side,
      Failover: side === "primary" ? "PRIMARY" : "SECONDARY",
      TTL: 10,
      ResourceRecords: [{ Value: sides[side].host }],
      HealthCheckId: `the id that create-health-check printed for ${side}`,
    },
  });
  return { Changes: SIDE_NAMES.map(record) };
}

/** The bodies of five requests to Cloudflare's API, in their order; each id is in the answer to the request before. */
function cloudflare({ front, sides }: Answers, health: HealthPorts): Record<string, unknown>[] {
  const monitors = SIDE_NAMES.map((side) => ({
    request: "POST /accounts/ACCOUNT/load_balancers/monitors",
    body: {
      description: `argocd-agent-ha ${side}`,
      type: "http",
      path: "/healthz",
      port: health[side],
      expected_codes: "200",
      interval: 60,
      retries: 1,
      timeout: 5,
    },
  }));
  const pools = SIDE_NAMES.map((side) => ({
    request: "POST /accounts/ACCOUNT/load_balancers/pools",
    body: {
      name: `argocd-agent-ha-${side}`,
      monitor: `the id of the monitor of ${side}`,
      origins: [{ name: side, address: sides[side].host, enabled: true }],
    },
  }));
  const balancer = {
    request: "POST /zones/ZONE/load_balancers",
    body: {
      name: front.host,
      // Agents speak mutual TLS to the principal itself.
      proxied: false,
      ttl: 30,
      steering_policy: "off",
      default_pools: SIDE_NAMES.map((side) => `the id of the pool of ${side}`),
      fallback_pool: "the id of the pool of primary",
    },
  };
  return [...monitors, ...pools, balancer];
}

/** Connections to a side that is not ACTIVE any more are closed at once. */
function haproxy({ front, sides }: Answers, health: HealthPorts): string {
  return `defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout check 2s

frontend agents
    bind :${front.port}
    default_backend active

backend active
    option httpchk GET /healthz
    http-check expect status 200
    default-server check inter 1s fall 2 rise 1 on-marked-down shutdown-sessions
${SIDE_NAMES.map((side) => `    server ${side} ${dialled(sides[side])} port ${health[side]}`).join("\n")}
`;
}

function json(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}
