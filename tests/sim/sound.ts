/** How paths and disks behave when nothing is wrong. */
export const SOUND_PATH = { minMs: 0.2, maxMs: 3, refuses: false, swallows: false } as const;
export const SOUND_DISK = {
  minMs: 0.1,
  maxMs: 2,
  failing: 0,
  lostAnswers: 0,
  watchMs: 1,
  watchLost: 0,
  older: false,
} as const;
