/** The operator's sentences for refused commands: the fact, the reason, and the next command. */
import type { OlderCopy } from "./store_history.ts";
import type { Holder, Input, Memory, Model, Standing, Waiting } from "./state.ts";

const count = (n: number) => n.toLocaleString("en-US");

/** The way to ACTIVE for a side whose peer is: one command between two of ours, two with a Go principal. */
const takeFrom = ({ peer }: Model, i?: Input): string => {
  const asked = i && "peer" in i ? i.peer : peer;
  return asked?.uid ? "run ha switchover" : "demote the peer first (ha demote there)";
};

/** Refusals; the first words of `replicating`, `alreadyActive` and `notActive` are the Go principal's. */
export const refusals = {
  busy: (command: string) => (m: Model): string =>
    `cannot ${command}: a ${m.operation?.kind ?? "command"} is under way (${m.operation?.step ?? ""}); ` +
    "wait a few seconds and run: ha status",
  waiting: ({ waiting }: Model): string =>
    waiting?.holder
      ? `cannot promote: ${holderText(waiting.holder)} acts for this side; run ha promote there`
      : `cannot promote: this process does not hold the lock on its store: ${waiting?.problem}; see: ha explain`,
  nothingRemembered: (m: Model): string =>
    m.memory.epoch > 0
      ? `cannot promote: ${byBackup(m)}`
      : `cannot promote: this store remembers nothing and peer "${m.peerAddress}" does not answer; start the peer, ` +
        "or serve what this store holds with: ha promote --force",
  alreadyActive: (): string => "already active",
  replicating: (m: Model): string =>
    `still replicating from peer "${m.peerAddress}": ${
      takeFrom(m)
    }, or override a peer that must not serve with: ` +
    "ha promote --force",
  syncing: (m: Model): string =>
    `cannot promote: replica is still syncing from "${m.peerAddress}"${progress(m)}; wait, or use --force`,
  neverComplete: (m: Model): string =>
    `cannot promote: this replica has never held a complete copy of "${m.peerAddress}"${progress(m)}; ` +
    "wait for its first sync, or use --force and lose what it does not hold",
  peerActive: (m: Model, i: Input): string =>
    `cannot promote: peer ${peerText(m, i)} is ACTIVE ${epochText(i)}; ${
      takeFrom(m, i) === "run ha switchover" ? "once this side follows it " : ""
    }${takeFrom(m, i)}, or override it with: ha promote --force`,
  overtaken: (m: Model): string =>
    `cannot promote: peer "${m.peerAddress}" has claimed epoch ${m.peer?.epoch} meanwhile; see: ha explain`,
  notRestored: (command: string) => (_: Model, i: Input): string =>
    `cannot ${command}: ${"problem" in i ? i.problem : ""}; mend that and retry` +
    (command === "promote" ? ", or serve these as they are with --force" : ""),
  notFollowed: (): string => "cannot take over: the principal that asks is not the one that is followed here",
  notReplicating: (m: Model): string => `cannot take over: this side is ${m.state}, not REPLICATING`,
  notPromised: (error: string): string =>
    `cannot take over: the next epoch could not be recorded in the store: ${error}`,
  notGivenUp: (): string => "cannot take over: the principal that asks is still ACTIVE",
  notPrepared: (m: Model): string =>
    `cannot take over: this side is ${m.state} and has not got ready for that epoch`,
  notActive: (m: Model): string => `can only demote from active state, current: ${m.state}`,
  nobodyTakesOver: (m: Model): string =>
    m.peerAddress === ""
      ? "cannot demote: no peer is configured, so no principal would serve agents; set --ha-peer-address, then run: " +
        "ha switchover; to stop serving all the same: ha demote --force"
      : `cannot demote: no replica follows this side, so no principal would serve agents; wait until "${m.peerAddress}" is ` +
        "REPLICATING, then run: ha switchover; to stop serving all the same: ha demote --force",
  notRecorded: (command: string, error: string): string =>
    `cannot ${command}: the role could not be recorded in the store: ${error}; nothing has changed. ` +
    "Do not restart this principal until its store answers; see: ha status",
  switchingOver: (command: string) => (): string =>
    `cannot ${command}: a switchover is under way; wait for it, see: ha watch`,
  switchFrom: (m: Model): string =>
    `cannot switch over: this side is not ACTIVE (state ${m.state}); ` +
    (m.peerAddress === "" ? "set --ha-peer-address" : `run ha switchover on "${m.peerAddress}"`),
  drillFrom: (m: Model): string =>
    `cannot drill: this side is ${m.state.toUpperCase()}, not REPLICATING; run ha drill on the side that follows`,
  drilled: (): string => "cannot drill: a drill is under way; wait for it",
  repairFrom: (m: Model): string =>
    `cannot repair: this side is ${m.state}, not REPLICATING; see: ha explain`,
  adoptFrom: (m: Model): string => `not ACTIVE (state ${m.state}): only the ACTIVE principal adopts`,
  forgetFrom: (m: Model): string =>
    `cannot forget an agent: this side is not ACTIVE (state ${m.state}); ` +
    (m.peerAddress === "" ? "see: ha explain" : `run ha forget-agent on "${m.peerAddress}"`),
  unfit: (command: string) => (_: Model, i: Input): string =>
    `cannot ${command}: ${i.type === "begin" ? i.problem : ""}`,
};

/** `"east" (b.example:8443)`; without a name only the address. */
export function peerText({ peerAddress }: Model, input: Input): string {
  const name = "peer" in input ? input.peer?.name : "";
  return name ? `"${name}" (${peerAddress})` : `"${peerAddress}"`;
}

/** `in epoch 3 since 2026-01-01T00:00:00Z with 12 agents`, of the peer that an input carries. */
export function epochText(input: Input): string {
  const peer = "peer" in input ? input.peer : undefined;
  if (!peer) return "";
  if (peer.uid === "") return "as its /healthz says (a Go principal has no epochs)";
  const since = peer.sinceMs > 0 ? ` since ${new Date(peer.sinceMs).toISOString()}` : "";
  return `in epoch ${peer.epoch}${since} with ${count(peer.connectedAgents)} agents`;
}

/**
 * Why an ACTIVE must not be followed by a principal with this memory: its epoch is over, or it claims an epoch that
 * belongs to another store (its own was lost), and following it would delete what only this side still has.
 */
export function leaderProblem(leader: Standing, memory: Memory): string | undefined {
  if (leader.epoch < memory.epoch) {
    return `the peer is ACTIVE in epoch ${leader.epoch}, below epoch ${memory.epoch} that is known here; ` +
      "it must be demoted: run ha demote there";
  }
  if (leader.epoch > memory.epoch || memory.leader === "" || memory.leader === leader.uid) return undefined;
  return `the peer is ACTIVE in epoch ${leader.epoch} with another store than the one that was ACTIVE in it; has its ` +
    "store been lost? To serve what this side holds run ha promote --force here; to give it up, remove this side's store";
}

/** `process 7 on "principal-x"`. */
export function holderText({ name, pid }: Holder): string {
  return pid > 0 ? `process ${pid} on "${name}"` : `"${name}"`;
}

/** The explanation of a process that does not act for its side. */
export function waitingText({ holder, problem }: Waiting): string {
  if (!holder) return `this process does not hold the lock on its store: ${problem}; retrying`;
  const since = holder.sinceMs > 0 ? ` since ${new Date(holder.sinceMs).toISOString()}` : "";
  return `${holderText(holder)} acts for this side${since}; this process takes over when that one has ended`;
}

/** The explanation of a principal that follows, or would follow, its peer. */
export function byPeer(model: Model, why: string): string {
  const lead = why === "" ? "" : `${why}; `;
  if (model.peerAddress === "") {
    return `${lead}no peer is configured, so nothing is replicated: run ha promote here`;
  }
  return `${lead}waiting for peer "${model.peerAddress}" to be ACTIVE and answer`;
}

/** The explanation of a principal whose store was restored from an older copy. */
export function byBackup({ peerAddress, olderStore }: Model, input?: Input): string {
  const copy = copyText((input && olderOf(input)) ?? olderStore);
  return `this store is older than what peer "${peerAddress}" has heard of it: it was restored from ${copy}; to serve what the ` +
    "peer holds run ha promote there, to serve this older state run ha promote --force here";
}

/** The copy that a peer's answer tells this side's store to be. */
export function olderOf(input: Input): OlderCopy | undefined {
  return input.type === "peerAnswer" ? input.olderStore : undefined;
}

/** `a backup made after TIME (changes until TIME were heard of)`. */
export function copyText({ fromMs, untilMs }: OlderCopy = { fromMs: 0, untilMs: 0 }): string {
  const text = (ms: number) => new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");
  const made = fromMs > 0 ? ` made after ${text(fromMs)}` : "";
  return `a backup${made}${untilMs > 0 ? ` (changes until ${text(untilMs)} were heard of)` : ""}`;
}

/** The explanation of a principal that may be an empty one beside a peer that holds everything. */
export function byOperator(model: Model): string {
  if (model.memory.epoch > 0) return byBackup(model);
  const { peerAddress } = model;
  return `this store remembers nothing and peer "${peerAddress}" does not answer; start the peer, or, if it is lost, ` +
    "serve what this store holds with: ha promote --force";
}

function progress({ progress: { done, total } }: Model): string {
  return total > 0 ? ` (${count(done)} of ${count(total)} resources)` : "";
}
