/** Names of time zones. */

/**
 * Whether Node.js knows the zone by its name ("Europe/Berlin", "UTC"). An offset is not a name: from Node 22 on Intl accepts "+02:00", which
 * PostgreSQL reads as two hours behind (POSIX; manual, B.5) and systemd rejects.
 */
export function isTimeZone(zone: string): boolean {
  if (/^[+-]/.test(zone)) return false;
  try {
    new Intl.DateTimeFormat('en', {timeZone: zone});
    return true;
  } catch {
    return false; // RangeError: no such zone
  }
}
