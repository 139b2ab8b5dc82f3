// Runs one command and measures it: wall and CPU time, the server's CPU time, peak memory, and what else the machine did.
import {spawn} from 'node:child_process';
import {readFileSync} from 'node:fs';
import {setTimeout as delay} from 'node:timers/promises';

// USER_HZ, the unit of the times in /proc, is 100 on every Linux platform that Node runs on.
const ticksPerSecond = 100;
/** More of the machine than this taken by others, in cores, and the wall time of a run says little. */
export const noisyCores = 0.25;

/**
 * @param daemons process ids whose work is part of what is measured, and not the noise of others
 * @returns {Promise<{wall: number, cpu: number, serverCpu: number, otherCores: number, rssMb: number, stderr: string, stdout: string}>}
 */
export async function measure(command, args, {env = {}, serverPid, daemons = [], cwd} = {}) {
  const before = await counters(serverPid, daemons);
  const backends = childrenOf(serverPid);
  const startedMs = performance.now();
  const child = spawn(command, args, {cwd, env: {...process.env, ...env}, stdio: ['ignore', 'pipe', 'pipe']});
  const out = {stdout: '', stderr: ''};
  child.stdout.on('data', (data) => (out.stdout += data));
  child.stderr.on('data', (data) => (out.stderr += data));
  let rssMb = 0;
  const sampler = setInterval(() => (rssMb = Math.max(rssMb, peakMb(child.pid))), 20);
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  clearInterval(sampler);
  const wall = (performance.now() - startedMs) / 1000;
  if (code !== 0)
    throw new Error(`${command} ${args.join(' ')} ended with ${code}:\n${out.stderr.slice(-2000)}`);
  // On a busy machine backends outlive their clients by more than a moment.
  for (let tries = 0; childrenOf(serverPid) > backends && tries < 100; tries++) await delay(50);
  const after = await counters(serverPid, daemons);
  const cpu = after.children - before.children;
  const serverCpu = after.server - before.server;
  const otherCores = Math.max(
    0,
    (after.busy -
      before.busy -
      cpu -
      serverCpu -
      (after.own - before.own) -
      (after.daemons - before.daemons)) /
      wall,
  );
  return {wall, cpu, serverCpu, otherCores, rssMb, ...out};
}

/** CPU seconds so far: of this process's children that have ended, of the server's, of this process, of daemons, of the machine. */
async function counters(serverPid, daemons) {
  if (serverPid !== undefined) await delay(80); // a backend outlives its client by a moment, and counts once it has ended
  const [, , children, own] = timesOf('self');
  const busy = readFileSync('/proc/stat', 'utf8').split('\n')[0].trim().split(/\s+/).slice(1).map(Number);
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = busy;
  return {
    children,
    own,
    server: serverPid === undefined ? 0 : timesOf(serverPid)[2],
    daemons: daemons.reduce((sum, pid) => sum + timesOf(pid)[3], 0),
    busy: (user + nice + system + irq + softirq) / ticksPerSecond,
  };
}

/** How many processes the server has at the moment. */
function childrenOf(pid) {
  if (pid === undefined) return 0;
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ').length;
}

/** utime, stime, those of ended children together, those of the process together (proc(5), /proc/pid/stat). */
function timesOf(pid) {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  const [utime, stime, cutime, cstime] = fields.slice(11, 15).map((ticks) => ticks / ticksPerSecond);
  return [utime, stime, cutime + cstime, utime + stime];
}

/** Peak resident memory of the process itself. */
function peakMb(pid) {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0) / 1024;
  } catch {
    return 0; // it has ended
  }
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Medians over runs: CPU and memory over all of them, wall time over the quiet ones where there are any. */
export function summarize(runs) {
  const quiet = runs.filter((run) => run.otherCores <= noisyCores);
  const of = (key, list = runs) => median(list.map((run) => run[key] ?? 0));
  return {
    runs: runs.length,
    quietRuns: quiet.length,
    wall: of('wall', quiet.length > 0 ? quiet : runs),
    cpu: median(runs.map((run) => run.cpu + run.serverCpu)),
    clientCpu: of('cpu'),
    serverCpu: of('serverCpu'),
    rssMb: of('rssMb'),
    otherCores: of('otherCores'),
    sizeMb: of('sizeMb'),
  };
}
