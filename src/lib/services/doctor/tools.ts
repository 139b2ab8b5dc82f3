/** Checks the client tools: their paths and versions, and whether they fit the server. */
import {findTool, installedTools, installHint, type ToolName} from '../../postgres/tools/find-tools.js';
import {findMaskProgram, maskProgramVersion} from '../../postgres/tools/mask-program.js';
import {sshVersion} from '../../postgres/tools/ssh-tunnel.js';
import type {Settings} from '../../settings/settings.js';
import {type Check, failed, failedBy, passed} from './check.js';

/** @param serverMajor undefined if the server did not answer; then any version passes */
export async function checkTools(settings: Settings, serverMajor: number | undefined): Promise<Check[]> {
  const names: ToolName[] = ['pg_dump', 'pg_restore'];
  return Promise.all(names.map((name) => checkTool(name, settings, serverMajor)));
}

/** Checks for the program of the config file's ssh. */
export async function checkSsh({config: {ssh}}: Settings): Promise<Check[]> {
  if (!ssh) return [];
  try {
    return [passed('ssh', `${await sshVersion(ssh)}; the database is reached through ${ssh.host}`)];
  } catch (error) {
    return [failedBy('ssh', error, 'Install ssh.')];
  }
}

/** The check for the masking program of the config file, which only `refresh` needs. */
export async function checkMasking(settings: Settings): Promise<Check[]> {
  if (!settings.config.maskProgram) return [];
  try {
    const path = await findMaskProgram(settings);
    return [passed('mask-program', `${await maskProgramVersion(path)} at ${path}`)];
  } catch (error) {
    return [failedBy('mask-program', error, 'Run it yourself to see why.', false)];
  }
}

async function checkTool(
  name: ToolName,
  settings: Settings,
  serverMajor: number | undefined,
): Promise<Check> {
  try {
    const tool = await findTool(name, settings, serverMajor);
    const others = (await installedTools(name, settings)).filter((one) => one.path !== tool.path);
    const also = others.length === 0 ? '' : `; also ${others.map((one) => one.version).join(', ')}`;
    const fit = serverMajor === undefined ? '' : `, suitable for PostgreSQL ${serverMajor}`;
    const message = `${tool.version} at ${tool.path}${fit}${also}`;
    if (serverMajor === undefined || tool.major === serverMajor) return passed(name, message);
    return failed(
      name,
      `${message}; newer than the server: its dumps may need that version to restore`,
      installHint(serverMajor),
      false,
    );
  } catch (error) {
    return failedBy(name, error, installHint(serverMajor));
  }
}
