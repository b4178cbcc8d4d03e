/** `ha status`: the Go CLI's output, and below it what only our principals know. */
import type { argocdagentha, haadminapi } from "../../proto/gen.d.ts";
import { type Client, firstOf, openServerStream } from "../adapters/grpc/dial.ts";
import { adminService, operatorService } from "../adapters/grpc/services.ts";
import { adminCall } from "./admin_client.ts";
import { EXIT, json, print } from "./output.ts";
import { withTarget } from "./target.ts";
import type { Arguments } from "./verb.ts";
import { exposureFields, exposureLines, troubles } from "./watch.ts";
import { yaml } from "./yaml.ts";

export async function status(args: Arguments): Promise<number> {
  const output = args.string("output");
  const [response, report] = await withTarget(args, async (client, address) => {
    const call = { address, timeoutMs: args.number("timeout"), action: "failed to get HA status" };
    const status = await adminCall(client, adminService.Status, {}, call);
    return [status, output === "yaml" ? undefined : await reportOf(client)] as const;
  });
  const more = report ? exposureFields(report) : {};
  const lines = report && output === "text" ? [...exposureLines(report), ...troubles(report)] : [];
  const text = lines.map(([label, text]) => `\n${label ? `${titled(label)}:`.padEnd(19) : "  "}${text}`);
  print(formatStatus(response, output, Date.now(), more) + text.join(""));
  return EXIT.ok;
}

/** Our own report, for the facts that the Go CLI's status lacks; undefined: a Go principal has none. */
async function reportOf(client: Client): Promise<argocdagentha.v1.Report | undefined> {
  return await firstOf(openServerStream(client, operatorService.Watch, { intervalMs: 60_000 }));
}

function titled(label: string): string {
  return label.charAt(0).toUpperCase() + label.slice(1);
}

/** A status as the Go CLI prints it. */
export function formatStatus(
  status: haadminapi.HAStatusResponse,
  format: string,
  nowMs: number,
  more: Record<string, unknown> = {},
): string {
  const all = fields(status);
  switch (format) {
    case "text":
      return text(status, nowMs);
    case "json":
      return json({
        ...Object.fromEntries(
          Object.entries(all).filter(([name, v]) =>
            (name === "last_sequence_num" && all.last_event_timestamp > 0) ||
            (v !== "" && v !== false && v !== 0)
          ),
        ),
        ...more,
      });
    default:
      return yaml(Object.fromEntries(Object.entries(all).map(([name, v]) => [name.replaceAll("_", ""), v])));
  }
}

function fields(status: haadminapi.HAStatusResponse) {
  return {
    state: status.state ?? "",
    preferred_role: status.preferred_role ?? "",
    peer_address: status.peer_address ?? "",
    peer_reachable: status.peer_reachable ?? false,
    peer_state: status.peer_state ?? "",
    connected_replicas: status.connected_replicas ?? 0,
    last_event_timestamp: status.last_event_timestamp ?? 0,
    last_sequence_num: status.last_sequence_num ?? 0,
    connected_agents: status.connected_agents ?? 0,
  };
}

function text(status: haadminapi.HAStatusResponse, nowMs: number): string {
  const all = fields(status);
  const lines: [string, string][] = [["State:", all.state], ["Preferred Role:", all.preferred_role]];
  if (all.peer_address) lines.push(["Peer Address:", all.peer_address]);
  // Also before the peer has answered: a line must not come and go with that.
  if (all.peer_address) lines.push(["Peer State:", all.peer_state || "not known"]);
  if (all.state === "active") lines.push(["Connected Replicas:", String(all.connected_replicas)]);
  else lines.push(["Replicating:", String(all.peer_reachable)]);
  lines.push(["Connected Agents:", String(all.connected_agents)]);
  if (all.last_event_timestamp > 0) {
    lines.push(["Last Event:", `${Math.max(0, Math.floor(nowMs / 1000) - all.last_event_timestamp)}s ago`]);
    // Also 0: an event that has come may not be durable yet, and a line must not come and go with that.
    lines.push(["Last Sequence:", String(all.last_sequence_num)]);
  }
  const body = lines.map(([label, value]) =>
    label.length < 19 ? label.padEnd(19) + value : `${label} ${value}`
  );
  return ["HA Status", "---------", ...body].join("\n");
}
