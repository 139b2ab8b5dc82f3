/** Identifies a process, so that a later run can check whether it is still running. */
import {readFile, readlink} from 'node:fs/promises';
import {hostname} from 'node:os';
import {z} from 'zod';
import {systemErrorCode} from './errors.js';

export const processIdentitySchema = z.object({
  pid: z.int().min(1),
  host: z.string(),
  /** Containers may share a host name but not their PID namespace; null where the system has no namespaces. */
  pidNamespace: z.string().nullable(),
  /** Start of the process in the system's own terms (boot and clock ticks); null where it cannot be read. */
  processStart: z.string().nullable(),
});
export type ProcessIdentity = z.infer<typeof processIdentitySchema>;

/** The current process. */
export async function thisProcess(): Promise<ProcessIdentity> {
  return {
    pid: process.pid,
    host: hostname(),
    pidNamespace: await ownNamespace(),
    processStart: (await startOf(process.pid))?.start ?? null,
  };
}

/**
 * Whether the process is running; "elsewhere" when it belongs to another machine or container, where it cannot be checked.
 * A reused PID is recognised by its start time.
 */
export async function livenessOf(owner: ProcessIdentity): Promise<'alive' | 'dead' | 'elsewhere'> {
  if (owner.host !== hostname() || owner.pidNamespace !== (await ownNamespace())) return 'elsewhere';
  try {
    process.kill(owner.pid, 0); // signal 0 only checks
  } catch (error) {
    // EPERM: it is running and belongs to another user.
    if (systemErrorCode(error) !== 'EPERM') return 'dead';
  }
  const found = await startOf(owner.pid);
  if (!found) return 'alive'; // no /proc
  const isOther = owner.processStart !== null && found.start !== owner.processStart;
  return isOther || found.isZombie ? 'dead' : 'alive';
}

/** "pid 4711 on db-host" */
export function describeProcess(owner: ProcessIdentity): string {
  return `pid ${owner.pid} on ${owner.host}`;
}

async function ownNamespace(): Promise<string | null> {
  return readlink('/proc/self/ns/pid').catch(() => null); // Linux only
}

/** State and start time from /proc/PID/stat (proc(5), fields 3 and 22; the name in field 2 may contain spaces). */
async function startOf(pid: number): Promise<{start: string; isZombie: boolean} | undefined> {
  try {
    const [boot, stat] = await Promise.all([
      readFile('/proc/sys/kernel/random/boot_id', 'utf8'),
      readFile(`/proc/${pid}/stat`, 'utf8'),
    ]);
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return {start: `${boot.trim()} ${fields[19] ?? ''}`, isZombie: fields[0] === 'Z'};
  } catch {
    return undefined; // no /proc on this system, or the process ended just now
  }
}
