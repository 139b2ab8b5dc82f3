/** Colour and layout of what people read: the only file that uses chalk. */
import {Chalk, type ChalkInstance} from 'chalk';

/**
 * Red and green are all the colours: yellow and cyan cannot be read on white, blue cannot on black. Green is faint on some whites,
 * so that it colours a single word ("ok"), never a sentence, and never says what the word does not.
 */
export type Style = Pick<ChalkInstance, 'bold' | 'dim' | 'green' | 'red'> & {
  /** Columns of the terminal; undefined where lines may be of any length. */
  readonly width?: number;
};

/**
 * Colours for one stream. chalk itself ignores NO_COLOR (no-color.org), hence the rule here.
 * @param isTerminal whether the stream is one
 * @param width its columns, if it is
 */
export function createStyle(
  isTerminal: boolean,
  environment: Readonly<Record<string, string | undefined>>,
  noColorFlag = false,
  width?: number,
): Style {
  const isForced = (environment['FORCE_COLOR'] ?? '') !== '' && environment['FORCE_COLOR'] !== '0';
  const isForbidden =
    noColorFlag ||
    (environment['NO_COLOR'] ?? '') !== '' ||
    environment['FORCE_COLOR'] === '0' ||
    environment['TERM'] === 'dumb';
  const chalk: Style = new Chalk({level: !isForbidden && (isTerminal || isForced) ? 1 : 0});
  // A terminal without a size says 0.
  return isTerminal && width !== undefined && width > 0 ? Object.assign(chalk, {width}) : chalk;
}

/** Columns that a text takes on a terminal, escape sequences not counted. */
export function displayWidth(text: string): number {
  return [...text.replace(/\u001b\[[0-9;]*m/g, '')].length;
}

/** A name from outside, safe to print: control characters and bidirectional overrides become visible escapes. */
export function printable(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, (character) => {
    return `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`;
  });
}
