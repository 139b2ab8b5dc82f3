/** Implements `notifications --test`: sends a test message to every target of the config file, and reports which arrived. */
import {hostname} from 'node:os';
import {AppError, type ErrorCode, exitStatus} from '../../base/errors.js';
import {elapsedMs} from '../../base/clock.js';
import type {RunContext} from '../../run/run-context.js';
import type {NoticeEvent, NoticeTarget} from '../../settings/notifications-config.js';
import {testNotice} from './notice.js';
import {describeTarget, eventsOf, sendTo} from './notify.js';

export interface NotifiedTarget {
  readonly name: string;
  readonly type: NoticeTarget['type'];
  /** Without the part that may contain a token. */
  readonly address: string;
  /** The events that it reports. */
  readonly on: readonly NoticeEvent[];
  /** Whether the test message was accepted; null without --test. */
  readonly ok: boolean | null;
  /** Code of the error; null if there was none. */
  readonly code: ErrorCode | null;
  readonly message: string | null;
  /** ms */
  readonly duration: number;
}

export interface NotificationsResult {
  readonly targets: readonly NotifiedTarget[];
}

/** @throws CONFIG_INVALID without a target in the config file */
export async function checkNotifications(
  context: RunContext,
  {isTest}: {readonly isTest: boolean},
): Promise<NotificationsResult> {
  const {config, environment} = context.settings;
  const targets = config.notifications?.targets ?? [];
  if (targets.length === 0)
    throw new AppError('CONFIG_INVALID', 'The config file has no notifications.targets.', {
      hint: 'Add a ping, a webhook, a mail or a command; docs/monitoring.md has an example of each.',
    });
  const notice = testNotice(hostname(), context.clock.now());
  const test = async (target: NoticeTarget): Promise<NotifiedTarget> => {
    const startedMs = context.clock.now().getTime();
    const error = isTest
      ? await sendTo(target, notice, {config: config.notifications, environment})
      : undefined;
    return {
      name: target.name ?? target.type,
      type: target.type,
      address: describeTarget(target, environment),
      on: eventsOf(target),
      ok: isTest ? error === undefined : null,
      code: error?.code ?? null,
      message: error?.message ?? null,
      duration: elapsedMs(context.clock, startedMs),
    };
  };
  return {targets: await Promise.all(targets.map(test))};
}

/** The exit status for the results. */
export function exitCodeOfTargets({targets}: NotificationsResult): number {
  return targets.some(({ok}) => ok === false) ? exitStatus.failed : 0;
}
