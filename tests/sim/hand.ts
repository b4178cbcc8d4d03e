/** The name under which the disks of the simulator know what another writer does on a standby. */
export const HAND = "hand";
