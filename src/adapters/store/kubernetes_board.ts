/** The noticeboard in a principal's own cluster, over a connection of its own: a burst of writes does not delay it, nor it them. */
import type { ApiRequestCounting } from "../../principal/ports/telemetry.ts";
import { Access } from "../kube/access.ts";
import { type BoardOptions, DeploymentBoard } from "../kube/deployment_board.ts";
import { DynamicClient } from "../kube/dynamic_client.ts";
import type { AccessOptions } from "../kube/kubeconfig.ts";
import { Transport } from "../kube/transport.ts";
import { storeError } from "./kubernetes_errors.ts";

const REQUEST_MS = 5_000;

export interface KubernetesBoardOptions extends AccessOptions, Omit<BoardOptions, "instance"> {
  /** Counts the requests. */
  requests: ApiRequestCounting;
}

/** The noticeboard in the cluster that these options name. @throws StoreError */
export function kubernetesBoard(options: KubernetesBoardOptions) {
  try {
    const transport = new Transport(Access.load(options), REQUEST_MS, options.requests);
    const board = new DeploymentBoard(new DynamicClient(transport), {
      ...options,
      instance: Deno.hostname(),
    });
    return {
      tell: board.tell.bind(board),
      show: board.show.bind(board),
      close: async () => {
        await board.close();
        transport.close();
      },
    };
  } catch (error) {
    throw storeError(error);
  }
}
