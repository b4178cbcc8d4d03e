/** An agent that floods: status updates of what is not its own, as fast as they are taken. */
import { delay } from "@std/async/delay";
import type { AgentConnection } from "../adapters/grpc/agent_client.ts";

const encoder = new TextEncoder();

/** Floods while `alive` says so of the connection. */
export async function flood(
  connection: AgentConnection,
  alive: (connection: AgentConnection) => boolean,
): Promise<void> {
  for (let n = 0; alive(connection); n++) {
    const name = `not-mine-${n % 1_000}`;
    const id = crypto.randomUUID();
    const object = {
      metadata: { name, namespace: "argocd" },
      status: { n },
      spec: { filler: "x".repeat(1_000) },
    };
    const taken = connection.send({
      type: "status-update",
      target: "application",
      extensions: { resourceid: id, eventid: id },
      payload: encoder.encode(JSON.stringify(object)),
    });
    if (!taken) await connection.drained();
    else if (n % 100 === 0) await delay(0);
  }
}
