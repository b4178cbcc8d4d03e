/** Stories for promtool: series as two sides would have them, and the alerts that fire at the end. */

/** One story: an interval of a minute, looked at after `minutes`. */
export interface Story {
  name: string;
  rules: "side" | "pair";
  /** Series and their values, in promtool's notation. */
  series: Record<string, string>;
  minutes: number;
  /** The alerts that fire, and how often. */
  firing: Record<string, number>;
}

const state = (instance: string, state = "active", pair = "") =>
  `argocd_agent_ha_state{state="${state}",instance="${instance}"${pair && `,pair="${pair}"`}}`;
const of = (metric: string, labels = "") =>
  `argocd_agent_ha_${metric}{instance="a"${labels && `,${labels}`}}`;
const side = (
  name: string,
  series: Record<string, string>,
  firing: Record<string, number> = {},
  minutes = 30,
): Story => ({ name, rules: "side", series, firing, minutes });
const pair = (
  name: string,
  series: Record<string, string>,
  firing: Record<string, number> = {},
  minutes = 30,
): Story => ({
  name,
  rules: "pair",
  // The clock of a story begins at 0: a drill then has passed.
  series: { [of("last_drill_timestamp_seconds")]: "0x4000", ...both, ...series },
  firing,
  minutes,
});
const both = {
  [`argocd_agent_ha_epoch{instance="a"}`]: "1x4000",
  [`argocd_agent_ha_epoch{instance="b"}`]: "1x4000",
};
/** A value that is not known, an hour long: the notation has no repetition of it. */
const NEVER = Array(61).fill("NaN").join(" ");
const DAY_S = 86_400;

export const STORIES: readonly Story[] = [
  pair("one side is ACTIVE", { [state("a")]: "1x60", [state("b")]: "0x60" }),
  pair(
    "a planned switchover takes a moment",
    {
      [state("a")]: "1x10 0x50",
      [state("b")]: "0x11 1x49",
    },
    {},
    12,
  ),
  pair(
    "an old reading stays beside the new ACTIVE for a scrape",
    {
      [state("a")]: "1x11 0x50",
      [state("b")]: "0x10 1x49",
    },
    {},
    12,
  ),
  pair("none is ACTIVE: both were demoted", { [state("a")]: "1x10 0x50", [state("b")]: "0x60" }, {
    ArgocdAgentHANoActive: 1,
  }),
  pair("none is ACTIVE: the region of the ACTIVE died", {
    [state("a")]: "1x10 stale",
    [state("b")]: "0x60",
    [`argocd_agent_ha_epoch{instance="a"}`]: "1x10 stale",
  }, { ArgocdAgentHANoActive: 1, ArgocdAgentHASideMissing: 1 }),
  pair("nothing is scraped", {
    [state("a")]: "1x10 stale",
    [`argocd_agent_ha_epoch{instance="a"}`]: "1x10 stale",
    [`argocd_agent_ha_epoch{instance="b"}`]: "1x10 stale",
  }, { ArgocdAgentHANoActive: 1, ArgocdAgentHASideMissing: 1 }),
  pair("two are ACTIVE", { [state("a")]: "1x60", [state("b")]: "0x10 1x50" }, { ArgocdAgentHATwoActive: 1 }),
  pair("two pairs with one ACTIVE each", {
    [state("a", "active", "x")]: "1x60",
    [state("b", "active", "x")]: "0x60",
    [state("c", "active", "y")]: "0x60",
    [state("d", "active", "y")]: "1x60",
  }),
  pair("two pairs, one of them with two ACTIVE and one with none", {
    [state("a", "active", "x")]: "1x60",
    [state("b", "active", "x")]: "1x60",
    [state("c", "active", "y")]: "0x60",
    [state("d", "active", "y")]: "0x60",
  }, { ArgocdAgentHATwoActive: 1, ArgocdAgentHANoActive: 1 }),
  pair(
    "a drill passed on either side within 30 days",
    {
      [state("a")]: "1x4000",
      [of("last_drill_timestamp_seconds")]: "0x4000",
      [`argocd_agent_ha_last_drill_timestamp_seconds{instance="b"}`]: `${DAY_S}x4000`,
    },
    {},
    60,
  ),
  pair(
    "the last drill is older than 30 days",
    {
      [state("a")]: "1x4000",
      [of("last_drill_timestamp_seconds")]: `-${40 * DAY_S}x4000`,
      [`argocd_agent_ha_last_drill_timestamp_seconds{instance="b"}`]: `-${31 * DAY_S}x4000`,
    },
    { ArgocdAgentHADrillOld: 1 },
    90,
  ),
  side("all is well", {
    [of("peer_reachable")]: "1x60",
    [of("possible_loss_seconds")]: "0x60",
    [state("a")]: "1x60",
    [of("replication_lag_seconds")]: "0x60",
    ...Object.fromEntries(
      [
        "held_keys",
        "held_deletions",
        "losses",
        "leader_restored",
        "foreign_objects",
        "differing_keys",
        "drifted_copies",
        "other_writers",
        "agents_not_back",
        "history_broken",
      ].map((metric) => [of(metric), "0x60"]),
    ),
    [of("preflight_ok", 'check="digests"')]: "1x60",
    [of("store_current")]: "1x60",
    [of("certificate_expiry_timestamp_seconds", 'certificate="principal"')]: `${90 * DAY_S}x60`,
    [of("agents_refused_total", 'reason="mode"')]: "7x60",
  }),
  side("the peer does not answer", { [of("peer_reachable")]: "1x10 0x50" }, {
    ArgocdAgentHAPeerUnreachable: 1,
  }),
  side("the peer does not answer for a moment", { [of("peer_reachable")]: "1x10 0x3 1x50" }, {}, 14),
  side("no replica has what the ACTIVE held a minute ago", {
    [of("possible_loss_seconds")]: "0x10 10+60x50",
    [of("peer_reachable")]: "1x60",
    [state("a")]: "1x60",
  }, { ArgocdAgentHAExposed: 1 }),
  side("no replica has ever had a copy", {
    [of("possible_loss_seconds")]: NEVER,
    [of("peer_reachable")]: "0x60",
    [state("a")]: "1x60",
  }, { ArgocdAgentHAExposed: 1, ArgocdAgentHAPeerUnreachable: 1 }),
  side("an ACTIVE without a peer is exposed by choice", {
    [of("possible_loss_seconds")]: NEVER,
    [state("a")]: "1x60",
  }),
  side("a replica's bound on a promotion is no exposure", {
    [of("possible_loss_seconds")]: "90x60",
    [of("peer_reachable")]: "1x60",
    [state("a")]: "0x60",
    [state("a", "replicating")]: "1x60",
  }),
  side("a replica lags", { [of("replication_lag_seconds")]: "0x10 31x50" }, { ArgocdAgentHALagging: 1 }),
  side("a side that does not follow has no lag", { [of("replication_lag_seconds")]: NEVER }),
  side("changes are held", { [of("held_keys")]: "0x10 3x50" }, { ArgocdAgentHAChangesHeld: 1 }),
  side("the guard holds deletions", { [of("held_deletions")]: "0x10 20x50" }, {
    ArgocdAgentHADeletionsWait: 1,
  }),
  ...["losses", "leader_restored", "foreign_objects"].map((metric) =>
    side(`${metric} wait`, { [of(metric)]: "0x10 1x50" }, { ArgocdAgentHALossesWait: 1 })
  ),
  side("what waits is told once", { [of("losses")]: "1x60", [of("foreign_objects")]: "1x60" }, {
    ArgocdAgentHALossesWait: 1,
  }),
  ...["differing_keys", "drifted_copies", "other_writers"].map((metric) =>
    side(`${metric} stay`, { [of(metric)]: "0x10 1x50" }, { ArgocdAgentHACopiesDiffer: 1 })
  ),
  side("a copy that drifted is restored soon", { [of("drifted_copies")]: "0x10 1x3 0x50" }),
  side("checks of the preflight fail", {
    [of("preflight_ok", 'check="digests"')]: "0x60",
    [of("preflight_ok", 'check="clock"')]: "0x60",
    [of("preflight_ok", 'check="peer"')]: "1x60",
  }, { ArgocdAgentHANotReady: 2 }),
  side("the store cannot be read", { [of("store_current")]: "1x10 0x50" }, {
    ArgocdAgentHAStoreUnreadable: 1,
  }),
  side(
    "a certificate expires within two weeks",
    {
      [of("certificate_expiry_timestamp_seconds", 'certificate="principal"')]: `${13 * DAY_S}x100`,
      [of("certificate_expiry_timestamp_seconds", 'certificate="principal-ca"')]: `${900 * DAY_S}x100`,
    },
    { ArgocdAgentHACertificateExpires: 1 },
    90,
  ),
  side(
    "two certificates expire within three days",
    {
      [of("certificate_expiry_timestamp_seconds", 'certificate="principal"')]: `${2 * DAY_S}x100`,
      [of("certificate_expiry_timestamp_seconds", 'certificate="resource-proxy-ca"')]: `${DAY_S}x100`,
    },
    { ArgocdAgentHACertificateExpires: 2, ArgocdAgentHACertificateExpiresSoon: 2 },
    90,
  ),
  side("agents are not back after a failover", { [of("agents_not_back")]: "0x2 4x50" }, {
    ArgocdAgentHAAgentsNotBack: 1,
  }),
  side("agents are refused", {
    [of("agents_refused_total", 'reason="credentials"')]: "0+1x60",
    [of("agents_refused_total", 'reason="mode"')]: "0+1x60",
  }, { ArgocdAgentHAAgentsRefused: 1 }),
  side("expired tokens are no refusal", { [of("agents_refused_total", 'reason="token"')]: "0+10x60" }),
  side("one refusal is no alert", { [of("agents_refused_total", 'reason="mode"')]: "0x10 1x50" }),
  side("the history is broken", { [of("history_broken")]: "0x10 1x50" }, { ArgocdAgentHAHistoryBroken: 1 }),
];
