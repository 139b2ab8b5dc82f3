/** Row level security that hides rows from the session's role. */

/** The hint for it: `FORCE ROW LEVEL SECURITY` hides rows from the owner too. */
export const rowSecurityHint =
  'Connect as a role with BYPASSRLS, or as the owner of the tables if they do not have FORCE ROW LEVEL SECURITY (the owner removes it: ALTER TABLE ... NO FORCE ROW LEVEL SECURITY).';
