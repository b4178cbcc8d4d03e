/** The lines of a start for an operator who comes from the Go principal: values that work otherwise than they look, and its defaults. */
import type { Scope } from "../domain/resources/scope.ts";
import { FLAGS } from "./flags.ts";
import { DEFAULT_REDIS, type RedisSettings } from "./redis_settings.ts";
import type { Value } from "./usage.ts";

/** Flags without effect, and why. */
const IDLE: Record<string, string> = {
  "event-processors": "every agent's events are processed beside the others'",
  "keepalive-min-interval": "no agent is cut off for its pings",
  "ha-failover-timeout": "a principal never promotes itself",
};

interface Parsed {
  listenHost: string;
  namespace: string;
  podUid: string;
  scope: Scope;
  redis: RedisSettings | undefined;
}

/** Warnings, in an operator's words. */
export function goWarnings(value: Value, { listenHost, namespace, podUid, scope }: Parsed): string[] {
  const warnings = Object.entries(IDLE).flatMap(([name, why]) => {
    const isDefault = value(name) === FLAGS.find((flag) => flag.name === name)?.default;
    return isDefault ? [] : `--${name} "${value(name)}" has no effect: ${why}`;
  });
  if (scope.allowedNamespaces.length === 0) {
    warnings.push(
      `--allowed-namespaces is empty: as in the Go principal, no Application or ApplicationSet outside namespace "${namespace}" is ` +
        "served or replicated; name the namespaces of agents, or * for all",
    );
  }
  if (podUid !== "" && /^(127\.|localhost$|::1$)/.test(listenHost)) {
    warnings.push(
      `--listen-host "${listenHost}": only this pod reaches the port for agents, as with the Go principal; for agents and a peer ` +
        'elsewhere set principal.listen.host: "" in ConfigMap argocd-agent-params',
    );
  }
  return warnings;
}

/** Defaults of the Go principal that took effect. */
export function goNotes(value: Value, { redis }: Parsed): string[] {
  if (!redis || value("redis-server-address") !== "") return [];
  return [
    `Argo CD's Redis is asked at ${DEFAULT_REDIS}, the Go principal's default; --redis-server-address names another one, or off`,
  ];
}
