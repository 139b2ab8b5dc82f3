/** Whether a target is production. */
import type {Settings} from './settings.js';

/** NODE_ENV is "production", or the config lists the host or the database under `production`. */
export function isProduction(
  settings: Settings,
  target: {readonly host: string; readonly database: string},
): boolean {
  const listed = settings.config.production ?? {};
  return (
    settings.environment.get('NODE_ENV') === 'production' ||
    (listed.hosts ?? []).includes(target.host) ||
    (listed.databases ?? []).includes(target.database)
  );
}
