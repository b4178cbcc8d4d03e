/** A process that holds a store's lock: `sqlite FILE` or `kubernetes KUBECONFIG NAMESPACE LEASE_MS`. It prints what happens, a line each. */
import { FileLock } from "../../src/adapters/store/file_lock.ts";
import { kubernetesLock } from "../../src/adapters/store/kubernetes_lock.ts";
import { runTenures } from "../../src/principal/core/tenures.ts";

const [kind = "", where = "", namespace = "", leaseMs = ""] = Deno.args;
const lock = kind === "sqlite"
  ? new FileLock(where)
  : kubernetesLock({ kubeconfig: where, context: "", namespace, leaseMs: Number(leaseMs), podUid: "" });
const ending = new AbortController();
Deno.addSignalListener("SIGTERM", () => ending.abort(new Error("SIGTERM")));

/** Writes a line every 20 ms while it may, with the time, as a principal would write. */
await runTenures(lock, {
  wait: ({ holder, problem }) => console.log(`waits ${holder?.pid ?? 0} ${holder?.name ?? ""} ${problem}`),
  act: (tenure) => {
    console.log("acts");
    const timer = setInterval(() => {
      if (tenure.holds()) console.log(`writes ${Date.now()}`);
    }, 20);
    return Promise.resolve((reason: Error) => {
      clearInterval(timer);
      console.log(`ends ${reason.message}`);
      return Promise.resolve();
    });
  },
}, ending.signal).catch((error) => {
  if (!ending.signal.aborted) throw error;
});
lock.close();
