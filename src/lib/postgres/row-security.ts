/** Row level security that hides rows from the session's role. */

/** What to do about it: `FORCE ROW LEVEL SECURITY` hides rows from the owner too. */
export const rowSecurityHint =
  'Connect as a role with BYPASSRLS, or as the owner of the tables where they have no FORCE ROW LEVEL SECURITY (its owner ends that: ALTER TABLE ... NO FORCE ROW LEVEL SECURITY).';
