/**
 * The file of sides: how an operator reaches each side of a pair, so that `--side NAME` and `ha status --both` need no addresses at 3 a.m.
 * It is `$ARGOCD_AGENT_HA_SIDES`, or else `argocd-agent-ha/sides.yaml` in the user's configuration folder.
 */
import { isRecord } from "../domain/resources/object.ts";
import { reasonOf } from "../base/reason.ts";
import { CommandError, EXIT } from "./output.ts";

/** The names of a side's fields; each is a flag's value. */
export const SIDE_FIELDS = [
  "address",
  "kubeconfig",
  "principal-context",
  "principal-namespace",
  "tls-ca",
  "tls-cert",
  "tls-key",
] as const;
export type Side = Partial<Record<(typeof SIDE_FIELDS)[number], string>>;

export const SIDES_EXAMPLE = `sides:
  west:
    principal-context: west-admin
  east:
    address: east.example:8406
    tls-ca: /etc/argocd-agent-ha/ca.crt
    tls-cert: /etc/argocd-agent-ha/operator.crt
    tls-key: /etc/argocd-agent-ha/operator.key`;

export function sidesFile(): string {
  const env = (name: string) => Deno.env.get(name) ?? "";
  return env("ARGOCD_AGENT_HA_SIDES") ||
    `${env("XDG_CONFIG_HOME") || `${env("HOME")}/.config`}/argocd-agent-ha/sides.yaml`;
}

/** All sides, by name; none where there is no file. @throws CommandError for a file that cannot be used */
export async function readSides(): Promise<Map<string, Side>> {
  const file = sidesFile();
  let text: string;
  try {
    text = Deno.readTextFileSync(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return new Map();
    throw wrong(file, reasonOf(error));
  }
  const { parseYaml } = await import("./yaml.ts");
  try {
    const [document] = parseYaml(text);
    const sides = isRecord(document) ? document["sides"] : undefined;
    if (!isRecord(sides)) throw new Error('it has no map "sides"');
    return new Map(Object.entries(sides).map(([name, side]) => [name, sideOf(name, side)]));
  } catch (error) {
    throw wrong(file, reasonOf(error));
  }
}

/** One side. @throws CommandError where the file does not name it */
export async function sideNamed(name: string): Promise<Side> {
  const sides = await readSides();
  const side = sides.get(name);
  if (side) return side;
  const known = sides.size > 0 ? `it names ${[...sides.keys()].join(", ")}` : "it is not there or names none";
  throw new CommandError(
    `--side "${name.slice(0, 64)}" is not in ${sidesFile()}: ${known}; see: argocd-agent-ha ha status --help`,
    EXIT.usage,
  );
}

function sideOf(name: string, side: unknown): Side {
  if (!isRecord(side)) throw new Error(`side "${name}" is not a map`);
  for (const [field, value] of Object.entries(side)) {
    if (!(SIDE_FIELDS as readonly string[]).includes(field)) {
      throw new Error(`side "${name}": unknown field "${field}"; known: ${SIDE_FIELDS.join(", ")}`);
    }
    if (typeof value !== "string") throw new Error(`side "${name}": ${field} is not a text`);
  }
  return side as Side;
}

function wrong(file: string, reason: string): CommandError {
  return new CommandError(`cannot read the file of sides "${file}": ${reason}`, EXIT.usage);
}
