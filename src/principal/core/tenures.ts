/**
 * A process acts for its side while it holds the lock on the side's store, and only then. Each tenure begins with what the store holds at
 * that time, as a start of the process does: nothing read in an earlier tenure is used.
 */
import { onAbort } from "../../base/abort.ts";
import type { Waiting } from "../../domain/ha/state.ts";
import type { StoreLock, Tenure } from "../ports/store_lock.ts";

/** The work of a process with the lock, and without it. */
export interface Office {
  /** Told when this process does not hold the lock, at each change of why. */
  wait(why: Waiting): void;
  /** Opens the store and acts; resolves with how to end that. Rejects when `ended` aborts before: with the tenure, or this process. */
  act(tenure: Tenure, ended: AbortSignal): Promise<(reason: Error) => Promise<void>>;
}

/** Runs until the signal aborts. @throws Error whatever `act` throws, with the lock released */
export async function runTenures(lock: StoreLock, office: Office, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    let said = "";
    const tenure = await lock.acquire((why) => {
      const text = JSON.stringify(why);
      if (text !== said) office.wait(why);
      said = text;
    }, signal);
    const ended = AbortSignal.any([signal, tenure.ended]);
    try {
      const end = await office.act(tenure, ended).catch((error) => {
        if (!ended.aborted) throw error;
      });
      await end?.(
        await new Promise<Error>((resolve) => onAbort(ended, (reason) => resolve(reason as Error))),
      );
    } finally {
      await tenure.release();
    }
  }
}
