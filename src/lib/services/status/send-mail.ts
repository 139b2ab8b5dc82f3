/** Sends a notification as mail: the only file that uses nodemailer. */
import {readFile} from 'node:fs/promises';
import {AppError, messageOf, systemErrorCode} from '../../base/errors.js';
import {redact} from '../../base/redact.js';
import type {MailTarget} from '../../settings/notifications-config.js';
import type {Notice} from './notice.js';

const defaultPorts: Readonly<Record<NonNullable<MailTarget['security']>, number>> = {
  starttls: 587,
  tls: 465,
  none: 25,
};

/** "smtp.example.com:587" */
export function mailServer({host, port, security = 'starttls'}: MailTarget): string {
  return `${host}:${port ?? defaultPorts[security]}`;
}

/**
 * @param password of the target's user
 * @param timeoutMs time limit of the whole delivery
 * @throws MAIL_UNREACHABLE, MAIL_TLS_FAILED, MAIL_LOGIN_FAILED, MAIL_REFUSED, READ_FAILED
 */
export async function sendMail(
  target: MailTarget,
  password: string | undefined,
  notice: Notice,
  timeoutMs: number,
): Promise<void> {
  const {host, port, security = 'starttls', user, caFile, from, to} = target;
  const ca = caFile === undefined ? undefined : await readCertificate(caFile);
  const {createTransport} = await import('nodemailer');
  const transport = createTransport({
    host,
    port: port ?? defaultPorts[security],
    secure: security === 'tls',
    requireTLS: security === 'starttls',
    ignoreTLS: security === 'none',
    ...(user === undefined ? {} : {auth: {user, pass: password ?? ''}}),
    ...(ca === undefined ? {} : {tls: {ca}}),
    dnsTimeout: timeoutMs,
    connectionTimeout: timeoutMs,
    greetingTimeout: timeoutMs,
    socketTimeout: timeoutMs,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new AppError('MAIL_UNREACHABLE', `no answer within ${timeoutMs / 1000} s`)),
      timeoutMs,
    );
  });
  try {
    await Promise.race([
      transport.sendMail({from, to: [...to], subject: subjectOf(notice), text: bodyOf(notice)}),
      late,
    ]);
  } catch (error) {
    throw error instanceof AppError ? error : explain(error, password);
  } finally {
    clearTimeout(timer);
    transport.close();
  }
}

async function readCertificate(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new AppError('READ_FAILED', `cannot read ${path}: ${messageOf(error)}`, {cause: error});
  }
}

const longestSubject = 150;

function subjectOf({summary}: Notice): string {
  const short = summary.length > longestSubject ? `${summary.slice(0, longestSubject)}...` : summary;
  return `destino-db: ${short}`;
}

function bodyOf({summary, facts, log}: Notice): string {
  const {summary: _same, ...others} = facts;
  const known = Object.entries(others).filter(([, value]) => value !== '');
  return [
    summary,
    '',
    ...known.map(([name, value]) => `${name}: ${value}`),
    ...(log.length === 0 ? [] : ['', ...log]),
    '',
  ].join('\n');
}

/** The server's answer without the password, which a server could repeat. */
function explain(error: unknown, password: string | undefined): AppError {
  const said = redact(messageOf(error).replace(/\s+/g, ' '));
  const message = (password ? said.replaceAll(password, '***') : said).replace(/\.$/, '');
  const code = systemErrorCode(error) ?? '';
  if (code === 'EAUTH' || code === 'ENOAUTH')
    return new AppError('MAIL_LOGIN_FAILED', message, {cause: error});
  if (code === 'ETLS' || /certificate|\bTLS\b|\bSSL\b|altnames|STARTTLS/i.test(`${code} ${message}`))
    return new AppError('MAIL_TLS_FAILED', message, {cause: error});
  if (code === 'EENVELOPE' || code === 'EMESSAGE' || code === 'EPROTOCOL')
    return new AppError('MAIL_REFUSED', message, {cause: error});
  return new AppError('MAIL_UNREACHABLE', message, {cause: error});
}
