/** The output of commands in a terminal, as lines of coloured text and as a picture. */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import xterm from '@xterm/headless';
import {runProgram} from './run-cli.js';

/** Text of one colour and weight. */
interface Run {
  readonly text: string;
  /** Number of the colour in the terminal's palette; -1 is the default. */
  readonly colour: number;
  readonly bold: boolean;
  readonly dim: boolean;
}

export type TerminalLine = readonly Run[];

const pictureColumns = 100;
const rows = 50;

/**
 * Runs the command in a terminal (created by script of util-linux).
 * @returns everything that was sent to the terminal
 */
export async function runInTerminal(
  command: string,
  options: {cwd: string; env: Readonly<Record<string, string>>; columns?: number},
): Promise<string> {
  const size = `stty cols ${options.columns ?? pictureColumns} rows ${rows}; ${command}`;
  const {status, stdout, stderr} = await runProgram('script', ['-qec', size, '/dev/null'], {
    cwd: options.cwd,
    env: {TERM: 'xterm-256color', LANG: 'C.UTF-8', SHELL: '/bin/sh', ...options.env},
  });
  if (status !== 0) throw new Error(`${command} ended with ${String(status)}: ${stdout}${stderr}`);
  return stdout;
}

/**
 * Runs the command in a terminal and types an answer once the question appears.
 * @returns everything that was sent to the terminal before the answer, and after it
 */
export async function answerInTerminal(
  command: string,
  options: {
    cwd: string;
    env: Readonly<Record<string, string>>;
    question: string;
    answer: string;
  },
): Promise<{before: string; after: string}> {
  const child = spawn(
    'script',
    ['-qec', `stty cols ${pictureColumns} rows ${rows}; ${command}`, '/dev/null'],
    {
      cwd: options.cwd,
      env: {
        PATH: process.env['PATH'],
        HOME: process.env['HOME'] ?? '/',
        TERM: 'xterm-256color',
        LANG: 'C.UTF-8',
        SHELL: '/bin/sh',
        ...options.env,
      },
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  );
  let sent = '';
  let asked: number | undefined;
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    sent += chunk;
    if (asked !== undefined || !sent.includes(options.question)) return;
    asked = sent.length;
    child.stdin.write(`${options.answer}\n`);
  });
  await once(child, 'close');
  return {before: sent.slice(0, asked ?? sent.length), after: sent.slice(asked ?? sent.length)};
}

/** The final lines on a terminal after everything that was sent to it. */
export async function screenOf(sent: string, columns = pictureColumns): Promise<TerminalLine[]> {
  const terminal = new xterm.Terminal({cols: columns, rows, scrollback: 1000, allowProposedApi: true});
  await new Promise<void>((resolve) => terminal.write(sent, resolve));
  const {active} = terminal.buffer;
  const lines = Array.from({length: active.baseY + rows}, (_, index) => runsOf(active.getLine(index)));
  terminal.dispose();
  while (lines.at(-1)?.length === 0) lines.pop();
  return lines;
}

type BufferLine = ReturnType<InstanceType<typeof xterm.Terminal>['buffer']['active']['getLine']>;

function runsOf(line: BufferLine): Run[] {
  const runs: Run[] = [];
  const length = line?.translateToString(true).length ?? 0;
  for (let column = 0; column < length; column += 1) {
    const cell = line?.getCell(column);
    if (!cell) continue;
    const run = {
      text: cell.getChars() || ' ',
      colour: cell.isFgPalette() ? cell.getFgColor() : -1,
      bold: cell.isBold() !== 0,
      dim: cell.isDim() !== 0,
    };
    const last = runs.at(-1);
    if (last?.colour === run.colour && last.bold === run.bold && last.dim === run.dim)
      runs[runs.length - 1] = {...last, text: last.text + run.text};
    else runs.push(run);
  }
  return runs;
}

export function plainText(lines: readonly TerminalLine[]): string {
  return lines.map((line) => `${line.map(({text}) => text).join('')}\n`).join('');
}

/** A prompt and the command after it, as if typed. */
export function promptLine(command: string): TerminalLine {
  return [
    {text: '$ ', colour: 2, bold: true, dim: false},
    {text: command, colour: -1, bold: true, dim: false},
  ];
}

// The first sixteen colours of a terminal, in the shades of a dark theme with enough contrast (GitHub's).
const palette = [
  '#484f58', '#ff7b72', '#3fb950', '#d29922', '#58a6ff', '#bc8cff', '#39c5cf', '#b1bac4',
  '#6e7681', '#ffa198', '#56d364', '#e3b341', '#79c0ff', '#d2a8ff', '#56d4dd', '#f0f6fc',
]; // prettier-ignore
const [characterWidth, lineHeight, margin, fontSize] = [8.4, 19, 20, 14];

/** The lines as SVG: text that can be selected and searched, in the reader's font. */
export function pictureOf(lines: readonly TerminalLine[], title: string): string {
  const height = 2 * margin + 14 + lines.length * lineHeight;
  const width = Math.ceil(2 * margin + pictureColumns * characterWidth);
  const body = lines.flatMap((line, index) => {
    const y = margin + 14 + (index + 1) * lineHeight - 5;
    let column = 0;
    return line.flatMap(({text, colour, bold, dim}) => {
      const start = column;
      column += text.length;
      const style = [
        ...(colour < 0 ? [] : [` fill="${palette[colour] ?? '#e6edf3'}"`]),
        ...(bold ? [' font-weight="bold"'] : []),
        ...(dim ? [' opacity="0.7"'] : []),
      ].join('');
      // Several spaces would become one; explicit positions keep words in their columns in any font, with the given length.
      return [...text.matchAll(/\S+(?: \S+)*/g)].map(({0: words, index: offset}) => {
        const x = rounded(margin + (start + offset) * characterWidth);
        const length = rounded(words.length * characterWidth);
        return `<text x="${x}" y="${y}" textLength="${length}" lengthAdjust="spacingAndGlyphs"${style}>${escaped(words)}</text>`;
      });
    });
  });
  const dots = ['#ff5f57', '#febc2e', '#28c840'].map(
    (fill, index) => `<circle cx="${margin + index * 18}" cy="16" r="5.5" fill="${fill}"/>`,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${width}" height="${height}" rx="8" fill="#0d1117"/>`,
    ...dots,
    `<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="${fontSize}" fill="#e6edf3">`,
    ...body,
    '</g>',
    '</svg>',
    '',
  ].join('\n');
}

/** The text of such a picture, a line for each of its lines, without indentation. */
export function textOfPicture(svg: string): string {
  const lines = new Map<string, string>();
  for (const [, y = '', text = ''] of svg.matchAll(/<text x="[^"]*" y="([^"]*)"[^>]*>([^<]*)<\/text>/g))
    lines.set(y, [...(lines.has(y) ? [lines.get(y)] : []), unescaped(text)].join(' '));
  return [...lines.values()].map((line) => `${line}\n`).join('');
}

function rounded(length: number): number {
  return Math.round(length * 10) / 10;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

function unescaped(text: string): string {
  return text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');
}
