/** What an ACTIVE principal needs around its store and does not find there, in words. */
export interface Missing {
  rights: string[];
  /** Kinds that are not served, because their CustomResourceDefinition is not installed. */
  definitions: string[];
  /** Of the namespaces that were asked for. */
  namespaces: string[];
}
