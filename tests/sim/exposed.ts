/** The loss that an ACTIVE reports of itself, against what its replica's store really lacks (I12, from the ACTIVE's own view). */
import type { State } from "./disk.ts";
import { Violation } from "./violation.ts";
import type { Watched } from "./watched.ts";

/**
 * The keys that the replica lacks are no more than the ACTIVE reports as unacknowledged. False: there is nothing to compare, because it
 * reports no number, or the other side goes its own way.
 *
 * @param own states of the replica's store that replication did not write @throws Violation
 */
export function exposureBounded(
  { site, taken }: Watched,
  other: Watched,
  own: WeakSet<State>,
): boolean {
  const { core } = site;
  if (!core || !site.serving || other.site.serving) return false;
  const { unacknowledged, replicas } = core.exposure.now();
  const followed = [...core.replicas].some(({ standing }) => standing?.uid === other.uid);
  if (unacknowledged === undefined || (replicas > 0 && !followed)) return false;
  if ((other.site.disk.remembered?.epoch ?? 0) > core.model().memory.epoch) return false;
  const missing = [...taken].filter(([key, records]) => {
    const last = records.at(-1);
    const states = other.site.disk.states.get(key);
    const written = states?.at(-1);
    // What its API server altered while a key was sent again is held, and told with the next acknowledgement (I15).
    if (!last || (written && (own.has(written) || written.sent !== undefined))) return false;
    return other.site.disk.now(key) !== last.digest;
  });
  if (missing.length <= unacknowledged) return true;
  const named = missing.slice(0, 3).map(([key]) => key).join(", ");
  throw new Violation(
    "exposure",
    `${site.name}, ACTIVE, says that ${unacknowledged} changes are not acknowledged, and ${other.site.name} lacks ` +
      `${missing.length}: ${named}`,
  );
}
