/**
 * `/healthz` is for the GSLB: 200 only when ACTIVE, as in the Go principal, and no longer once this side steps down.
 * `/livez` is for Kubernetes: 200 while the process works, in every state, so that replicas are not restarted. `/readyz` is for humans
 * and rollouts: able to admit agents, and ACTIVE or a replica whose lag is within `maxLagMs`.
 */
import { Hono } from "hono";
import type { Health } from "../../principal/ports/health.ts";

const DEFAULT_MAX_LAG_MS = 30_000;

/** The answers before this principal's state is known: alive, and not ready because of `why`. */
export function startingApp(why: () => string): Hono {
  const app = new Hono();
  app.get("/livez", (c) => c.text("ok\n"));
  app.get("/healthz", (c) => {
    c.header("X-HA-State", "recovering");
    return c.text("HA state: recovering - not accepting traffic\n", 503);
  });
  app.get("/readyz", (c) => c.text(`not ready: recovering: ${why() || "the store is being read"}\n`, 503));
  return app;
}

export function healthApp(health: Health): Hono {
  const app = new Hono();
  app.get("/healthz", (c) => {
    if (!health.haEnabled) return c.text("");
    const { state } = health.model();
    c.header("X-HA-State", state);
    if (health.serves()) return c.text("");
    return c.text(`HA state: ${state} - not accepting traffic\n`, 503);
  });
  app.get("/livez", (c) => c.text("ok\n"));
  app.get("/readyz", (c) => {
    const given = c.req.query("maxLagMs");
    const maxLagMs = given === undefined ? DEFAULT_MAX_LAG_MS : Number(given);
    if (!Number.isFinite(maxLagMs) || maxLagMs < 0 || given === "") {
      return c.text(
        `maxLagMs="${(given ?? "").slice(0, 64)}" must be a number of milliseconds, e.g. 5000\n`,
        400,
      );
    }
    const { state, explanation } = health.model();
    if (health.closed !== "") return c.text(`not ready: ${state}: ${health.closed}\n`, 503);
    if (health.serves()) return c.text("ready: active\n");
    const lag = health.lagMs();
    if (state === "replicating" && lag !== undefined && lag <= maxLagMs) {
      return c.text(`ready: replicating, ${lag} ms behind\n`);
    }
    const why = lag === undefined ? explanation : `${lag} ms behind, allowed ${maxLagMs}; ${explanation}`;
    return c.text(`not ready: ${state}: ${why}\n`, 503);
  });
  app.notFound((c) => c.text("not found; this port serves /healthz, /livez and /readyz?maxLagMs=\n", 404));
  return app;
}
