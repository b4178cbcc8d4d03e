/**
 * The only importer of @kubernetes/client-node, by modules inside the package: its one entry point would load every generated model of
 * the Kubernetes API (docs/decisions/0001-kubernetes-client.md has the figures). An upgrade may move them without notice;
 * client_node_internals_test.ts names the one that moved.
 */
export {
  type Cluster,
  type Context,
  newClusters,
  newContexts,
  newUsers,
  type User,
} from "@kubernetes/client-node/dist/config_types.js";
export { ExecAuth } from "@kubernetes/client-node/dist/exec_auth.js";
export { FileAuth } from "@kubernetes/client-node/dist/file_auth.js";

/** The WebSocket of port forwarding; loaded with its library only where a port is forwarded. */
export async function loadWebSocketHandler() {
  return (await import("@kubernetes/client-node/dist/web-socket-handler.js")).WebSocketHandler;
}
