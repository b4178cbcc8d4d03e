/** Misbehaviour of an agent. */
export interface Misbehaviour {
  /** Never acknowledges. */
  neverAcks?: boolean;
  /** Reads nothing. */
  deaf?: boolean;
  /** Cuts its own stream again and again. */
  restless?: boolean;
  /** Sends status updates of what is not its own, as fast as they are taken. */
  floods?: boolean;
  /** Acknowledges requests and answers none, as an agent does whose proxies are off; or does not even acknowledge them. */
  requests?: "unanswered" | "ignored";
}
