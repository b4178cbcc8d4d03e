/** The rights, kinds and namespaces that an ACTIVE principal needs and its cluster lacks, in words. */
export interface Missing {
  /** Verbs, plural and namespace of each right, e.g. `patch secrets in argocd`. */
  rights: string[];
  /** Kinds without a CustomResourceDefinition. */
  definitions: string[];
  /** Those of the requested namespaces that do not exist. */
  namespaces: string[];
  /** Fields that the other side's resources use and a schema here does not know, as `Kind path`; absent: they were not compared. */
  fields?: string[];
}
