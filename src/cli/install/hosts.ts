/** Two hosts, or two processes on one: for each side its settings as environment variables, its certificates, and a systemd unit. */
import { FLAGS } from "../../config/flags.ts";
import { envOf } from "../../config/flag.ts";
import { type Answers, dialled, type File, otherOf, SIDE_NAMES, type SideName } from "./answers.ts";
import type { Material } from "./material.ts";

/** Where the files of a host lie on it. */
const FOLDER = "/etc/argocd-agent-ha";
const EXECUTABLE = "/usr/local/bin/argocd-agent-ha";

/** The settings of a side that a way of installing chooses: where its files are, and flags of its own. */
interface Place {
  folder: string;
  store: string;
  flags: Record<string, string>;
}

/** The files for both hosts, and for each agent. */
export function hostFiles(answers: Answers, material: Material): File[] {
  return [
    ...SIDE_NAMES.flatMap((side) => [
      ...sideFiles(side, answers, material, {
        folder: FOLDER,
        store: "sqlite:/var/lib/argocd-agent-ha/principal.db",
        flags: { "listen-port": String(answers.sides[side].port) },
      }),
      { path: `${side}/argocd-agent-ha.service`, text: UNIT },
    ]),
    ...agentFiles(material),
  ];
}

/** The ports of one of two processes on one machine. */
export interface LaptopPorts {
  grpc: number;
  healthz: number;
  metrics: number;
  admin: number;
  resourceProxy: number;
}

/** Five ports in a row for each side. */
export function laptopPorts(first: number): Record<SideName, LaptopPorts> {
  const from = (port: number) => ({
    grpc: port,
    healthz: port + 1,
    metrics: port + 2,
    admin: port + 3,
    resourceProxy: port + 4,
  });
  return { primary: from(first), replica: from(first + 5) };
}

/** The files for two processes on this machine, which keep everything in `dir` and listen on the loopback alone. */
export function laptopFiles(
  answers: Answers,
  material: Material,
  dir: string,
  ports: Record<SideName, LaptopPorts>,
): File[] {
  const flags = ({ grpc, healthz, metrics, admin, resourceProxy }: LaptopPorts) => ({
    "listen-host": "127.0.0.1",
    "listen-port": String(grpc),
    "healthz-port": String(healthz),
    "metrics-port": String(metrics),
    "ha-admin-port": String(admin),
    "resource-proxy-port": String(resourceProxy),
  });
  return [
    ...SIDE_NAMES.flatMap((side) =>
      sideFiles(side, answers, material, {
        folder: `${dir}/${side}`,
        store: `sqlite:${dir}/${side}/principal.db`,
        flags: flags(ports[side]),
      })
    ),
    ...agentFiles(material),
  ];
}

function sideFiles(side: SideName, answers: Answers, material: Material, place: Place): File[] {
  const { cert, key } = material.principals[side];
  const { folder } = place;
  const flags: Record<string, string> = {
    "namespace": answers.namespace,
    "store": place.store,
    "allowed-namespaces": "*",
    "auth": "mtls:^CN=([^,]+)",
    "tls-cert": `${folder}/tls.crt`,
    "tls-key": `${folder}/tls.key`,
    "root-ca-path": `${folder}/ca.crt`,
    "jwt-key": `${folder}/jwt.key`,
    "ha-enabled": "true",
    "ha-preferred-role": side,
    "ha-peer-address": dialled(answers.sides[otherOf(side)]),
    "ha-peer-identity": otherOf(side),
    ...place.flags,
  };
  return [
    { path: `${side}/principal.env`, text: environment(flags) },
    { path: `${side}/tls.crt`, text: cert },
    { path: `${side}/tls.key`, text: key, secret: true },
    { path: `${side}/ca.crt`, text: material.ca.cert },
    { path: `${side}/jwt.key`, text: material.jwtKey, secret: true },
  ];
}

function agentFiles({ agents, ca }: Material): File[] {
  return [...agents].flatMap(([agent, { own }]) => [
    { path: `agents/${agent}/tls.crt`, text: own.cert },
    { path: `agents/${agent}/tls.key`, text: own.key, secret: true },
    { path: `agents/${agent}/ca.crt`, text: ca.cert },
  ]);
}

/** As systemd and a shell read it alike. @throws Error for a flag that does not exist, or a value that needs more than quotes */
function environment(flags: Record<string, string>): string {
  return Object.entries(flags).map(([name, value]) => {
    const flag = FLAGS.find((candidate) => candidate.name === name);
    if (!flag || value.includes("'")) throw new Error(`--${name} "${value}" cannot be written`);
    return `${envOf(flag)}='${value}'\n`;
  }).join("");
}

const UNIT = `[Unit]
Description=argocd-agent-ha: a principal for argocd-agent
Documentation=https://github.com/argoproj-labs/argocd-agent
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=${EXECUTABLE} principal
EnvironmentFile=${FOLDER}/principal.env
User=argocd-agent-ha
StateDirectory=argocd-agent-ha
StateDirectoryMode=0700
Restart=always
RestartSec=2
TimeoutStopSec=15
LimitNOFILE=65536
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
CapabilityBoundingSet=

[Install]
WantedBy=multi-user.target
`;
