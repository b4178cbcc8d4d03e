import { assertEquals } from "@std/assert";
import { commandFor } from "./secrets.ts";

Deno.test("commandFor() names the Go project's tool for the Secrets that it makes, and kubectl for others", () => {
  const cases: [string, string, string][] = [
    [
      "argocd-agent-resource-proxy-tls",
      "tls.crt",
      "argocd-agentctl pki issue resource-proxy --dns argocd-agent-resource-proxy --principal-namespace argocd",
    ],
    ["argocd-agent-ca", "tls.crt", "argocd-agentctl pki init --principal-namespace argocd"],
    ["argocd-agent-jwt", "jwt.key", "argocd-agentctl jwt create-key --principal-namespace argocd"],
    [
      "argocd-redis-tls",
      "ca.crt",
      "kubectl -n argocd create secret generic argocd-redis-tls --from-file ca.crt=FILE",
    ],
    ["mine", "tls.key", "kubectl -n argocd create secret tls mine --cert FILE --key FILE"],
  ];
  for (const [name, field, command] of cases) assertEquals(commandFor("argocd", name, field), command);
});
