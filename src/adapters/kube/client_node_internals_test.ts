/** The modules inside client-node that this project uses are where they were, and work as before; an upgrade that moves one fails here. */
import { assert, assertEquals } from "@std/assert";
import { reasonOf } from "../../base/reason.ts";

const INTERNALS = "src/adapters/kube/client_node_internals.ts";
const configuration = JSON.parse(Deno.readTextFileSync(new URL("../../../deno.json", import.meta.url)));
const specifiers = Object.entries(configuration.imports as Record<string, string>)
  .filter(([name]) => name.startsWith("@kubernetes/client-node"));
const remedy =
  `change ${INTERNALS} and the imports in deno.json; docs/decisions/0001-kubernetes-client.md says what is used`;

/** The functions and classes that we take, by the module of client-node's that has them. */
const TAKEN: Record<string, readonly string[]> = {
  "@kubernetes/client-node/dist/config_types.js": ["newClusters", "newUsers", "newContexts"],
  "@kubernetes/client-node/dist/exec_auth.js": ["ExecAuth"],
  "@kubernetes/client-node/dist/file_auth.js": ["FileAuth"],
  "@kubernetes/client-node/dist/web-socket-handler.js": ["WebSocketHandler"],
};

Deno.test("client-node: every import of ours is of one version, and known to this test", () => {
  const versions = new Set(specifiers.map(([, target]) => /client-node@([^/]+)/.exec(target)?.[1]));
  assertEquals(versions.size, 1, `deno.json names several versions of client-node: ${[...versions].join()}`);
  const deep = specifiers.map(([name]) => name).filter((name) => name.includes("/dist/"));
  assertEquals(deep.sort(), Object.keys(TAKEN).sort());
});

for (const [module, names] of Object.entries(TAKEN)) {
  Deno.test(`client-node: ${module} has ${names.join(", ")}`, async () => {
    const found: Record<string, unknown> = await import(module).catch((error) => {
      throw new Error(`client-node no longer has ${module} (${reasonOf(error)}): ${remedy}`);
    });
    for (const name of names) {
      assertEquals(typeof found[name], "function", `${module} no longer has ${name}: ${remedy}`);
    }
  });
}

Deno.test("client-node: kubeconfig entries, authenticators and the WebSocket have the form that we rely on", async () => {
  const { ExecAuth, FileAuth, loadWebSocketHandler, newClusters, newContexts, newUsers } = await import(
    "./client_node_internals.ts"
  );
  const [cluster] = newClusters([{
    name: "c",
    cluster: { server: "https://x", "certificate-authority": "ca", "proxy-url": "http://p" },
  }] as never);
  assertEquals([cluster?.name, cluster?.server, cluster?.caFile, cluster?.proxyUrl], [
    "c",
    "https://x",
    "ca",
    "http://p",
  ]);
  const [user] = newUsers([{
    name: "u",
    user: { "client-certificate": "crt", "client-key": "key", as: "someone" },
  }] as never);
  assertEquals([user?.certFile, user?.keyFile, user?.impersonateUser], ["crt", "key", "someone"]);
  const [context] = newContexts([{ name: "x", context: { cluster: "c", user: "u" } }] as never);
  assertEquals([context?.name, context?.cluster, context?.user], ["x", "c", "u"]);

  const file = Deno.makeTempFileSync();
  try {
    Deno.writeTextFileSync(file, "secret");
    const tokenUser = { name: "u", authProvider: { name: "tokenFile", config: { tokenFile: file } } };
    const options = { headers: {} as Record<string, string> };
    assert(new FileAuth().isAuthProvider(tokenUser));
    await new FileAuth().applyAuthentication(tokenUser, options as never);
    assertEquals(options.headers, { Authorization: "Bearer secret" });
  } finally {
    Deno.removeSync(file);
  }
  assert(new ExecAuth().isAuthProvider({ name: "u", exec: { command: "login" } }));

  const WebSocketHandler = await loadWebSocketHandler();
  assertEquals(typeof WebSocketHandler.prototype.connect, "function", remedy);
  assertEquals(typeof WebSocketHandler.handleStandardInput, "function", remedy);
});
