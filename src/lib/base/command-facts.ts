/** The commands whose runs are recorded. The build writes this from their classes (cli/help/build-manifest.ts). */

interface CommandFacts {
  /** Whether it works where one run at a time may, and so has the flag --wait. */
  readonly canWait: boolean;
  /** Whether it changes something only with --execute. */
  readonly isPreviewByDefault: boolean;
}

export const commandFacts: Readonly<Record<string, CommandFacts>> = {
  backup: {canWait: true, isPreviewByDefault: false},
  copy: {canWait: false, isPreviewByDefault: false},
  delete: {canWait: true, isPreviewByDefault: false},
  label: {canWait: true, isPreviewByDefault: false},
  'orders:clean': {canWait: true, isPreviewByDefault: true},
  'orders:restore': {canWait: true, isPreviewByDefault: true},
  prune: {canWait: true, isPreviewByDefault: false},
  recover: {canWait: true, isPreviewByDefault: false},
  refresh: {canWait: true, isPreviewByDefault: false},
  restore: {canWait: true, isPreviewByDefault: false},
  'restore:rows': {canWait: true, isPreviewByDefault: true},
  undo: {canWait: true, isPreviewByDefault: false},
  verify: {canWait: true, isPreviewByDefault: false},
  'workflow:safe-cleanup': {canWait: true, isPreviewByDefault: true},
};
