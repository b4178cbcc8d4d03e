/** Without `--listen-host` every listener answers on IPv4, and on IPv6 where the machine has it. */
import { assert, assertEquals } from "@std/assert";
import { connect } from "node:net";
import { hostPort } from "../../src/adapters/net/addresses.ts";
import { inWorkshop, LOOSE, untilState } from "../support/principals.ts";
import { proxyFlags } from "../support/proxy.ts";

/** Whether a process can listen on IPv6 here. */
const HAS_IPV6 = (() => {
  try {
    Deno.listen({ hostname: "::1", port: 0 }).close();
    return true;
  } catch {
    return false;
  }
})();

function answers(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, host);
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}

Deno.test(
  "an empty --listen-host is all addresses of the machine, of both kinds",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const flags = ["--redis-server-address=127.0.0.1:1", ...proxyFlags(workshop)];
      const settings = workshop.settings("primary", 0, ["--insecure-jwt-generate", ...flags]);
      const running = await workshop.start({ ...settings, listenHost: "" });
      await untilState(running, "active");
      const { grpc, healthz, resourceProxy, redisProxy, admin } = running.ports;
      for (const host of HAS_IPV6 ? ["127.0.0.1", "::1"] : ["127.0.0.1"]) {
        for (const port of [grpc, healthz, resourceProxy, redisProxy]) {
          assert(port > 0 && await answers(host, port), `nothing at ${hostPort(host, port)}`);
        }
        const { status } = await fetch(`http://${hostPort(host, healthz)}/healthz`).then(async (response) => {
          await response.body?.cancel();
          return response;
        });
        assertEquals(status, 200, host);
      }
      if (HAS_IPV6) {
        assertEquals(await answers("::1", admin), false, "operators are served on 127.0.0.1 alone");
      }
    }),
);
