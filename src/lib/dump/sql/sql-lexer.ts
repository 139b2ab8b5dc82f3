/** Splits a plain dump into statements and recognises quotes, as psql does (manual, 4.1). */
import {StatementNesting} from './statement-nesting.js';
import {
  changesReading,
  unsafe,
  unsafeCommand,
  unusualCopy,
  unusualQuote,
  unusualSetting,
} from './unsafe-dump-errors.js';

export interface LexerOptions {
  /** Reports complete statements, with the comments inside; otherwise only statements of interest, and the parts of a compound one separately. */
  readonly keepsAll?: boolean;
}

export interface SqlListener {
  /**
   * A statement of interest, from its first character to its semicolon.
   * @param endsLine whether it is the last one in its line
   */
  onStatement(statement: string, endsLine: boolean): void;
  /** A `--` comment outside quotes, without its line end. */
  onComment(comment: string): void;
  /** A line that begins with a backslash outside quotes: a psql command. */
  onMetaCommand(line: string): void;
}

/** Statements whose complete text is kept; of all others only the beginning. */
const interesting = /^(?:copy\b|SELECT pg_catalog\.(?:lo|setval)|REFRESH MATERIALIZED VIEW |SET\s)/i;
const longestHead = 32;
/** The heading of a function lists the types of all its arguments. */
const longestComment = 1 << 16;
/** A COPY statement with 1600 columns of the longest names has 210,000 characters. */
const longestStatement = 1 << 20;

/** Longest token that the end of a piece of an overlong line may divide: a dollar quote's tag of 63 bytes. */
export const longestToken = 128;

/**
 * Reads the text between COPY blocks line by line (latin1: one character per byte) and reports its statements.
 * The contents of string literals, quoted identifiers, dollar quotes and comments are skipped.
 */
export class SqlLexer {
  /** Whether the text so far ends outside quotes, comments and statements. */
  get isBetweenStatements(): boolean {
    return (
      this.quote === '' &&
      this.commentDepth === 0 &&
      !this.inLineComment &&
      this.statement === '' &&
      this.whole === ''
    );
  }

  /** The closing quote that is expected: "'", '"', "$tag$"; '' outside quotes. */
  private quote = '';
  /** Whether a backslash escapes the next character in the current string literal. */
  private hasEscapes = false;
  /** Whether only blanks followed a literal with escapes: psql lets another literal continue it, escapes included. */
  private isBehindEscapes = false;
  private readonly nesting = new StatementNesting();
  /** Whether the text so far ends with a colon that is not part of "::". */
  private isBehindColon = false;
  private commentDepth = 0;
  private inLineComment = false;
  private comment = '';
  /** The statement so far, without leading blanks and comments; shortened if it is of no interest. */
  private statement = '';
  private isCut = false;
  private standardStrings = true;

  /** With keepsAll, the complete statement so far, comments inside it included. */
  private whole = '';

  constructor(
    private readonly listener: SqlListener,
    private readonly options: LexerOptions = {},
  ) {}

  /** Whether the current text is the start of a line. */
  private isLineStart = true;

  /**
   * Reads a line with its newline, or a piece of an overlong one.
   * @param isWhole false if more of the line follows: the last characters are then left, because they may be half a token
   * @returns the number of characters read
   */
  take(text: string, isWhole: boolean): number {
    const limit = isWhole ? text.length : text.length - longestToken;
    let position = 0;
    while (position < limit) {
      if (this.quote !== '') position = this.passQuoted(text, position, limit);
      else if (this.commentDepth > 0) position = this.passBlockComment(text, position, limit);
      else if (this.inLineComment) position = this.passLineComment(text, position, limit);
      else position = this.passPlain(text, position, limit, isWhole);
    }
    this.isLineStart = isWhole;
    this.isBehindColon = endsWithColon(text, position, this.isBehindColon);
    return position;
  }

  private passPlain(text: string, start: number, limit: number, isWhole: boolean): number {
    const token =
      /[A-Za-z_\u0080-\u00ff][\w$\u0080-\u00ff]*|\$?[0-9][\w\u0080-\u00ff]*|['"$\\;()]|--|\/\*|[-/]|[^\s\w'"$\\;()/\u0080-\u00ff-]+/g;
    token.lastIndex = start;
    let after = start;
    for (;;) {
      const match = token.exec(text);
      if (!match || match.index >= limit) {
        const stop = Math.max(limit, after);
        this.keep(text, start, stop);
        return stop;
      }
      const at = match.index;
      after = token.lastIndex;
      const word = match[0];
      if (word !== '--' && word !== '/*') {
        if (this.isBehindEscapes && word === "'") throw unusualQuote(text, at);
        this.isBehindEscapes = false;
      }
      switch (word) {
        case "'":
          this.keep(text, start, after);
          this.quote = "'";
          this.hasEscapes = !this.standardStrings;
          return after;
        case '"':
          this.keep(text, start, after);
          this.quote = '"';
          this.hasEscapes = false;
          return after;
        case '$': {
          const tag = dollarTagAt(text, at);
          if (tag === undefined) {
            if (!isWhole && /^[\w\u0080-\u00ff]*$/.test(text.slice(after))) throw unusualQuote(text, at);
            continue;
          }
          if (tag.length > longestToken) throw unusualQuote(text, at);
          this.keep(text, start, at + tag.length);
          this.quote = tag;
          this.hasEscapes = false;
          return at + tag.length;
        }
        case ';':
          this.keep(text, start, after);
          this.endStatement(/^\r?\n?$/.test(text.slice(after, after + 3)));
          return after;
        case '(':
        case ')':
          this.nesting.parenthesis(word);
          continue;
        case '--':
          this.keep(text, start, at);
          this.inLineComment = true;
          this.comment = '';
          return at;
        case '/*':
          this.keep(text, start, at);
          this.keepComment(text, at, after);
          this.commentDepth = 1;
          return after;
        case '\\': {
          // psql takes a backslash anywhere in a line for a command, not only at the start.
          const lineEnd = text.indexOf('\n', at);
          const line = text.slice(at, lineEnd === -1 ? text.length : lineEnd);
          if (at > 0 || !this.isLineStart || !this.isBetweenStatements) throw unsafeCommand(line);
          this.listener.onMetaCommand(line);
          return text.length;
        }
        default: {
          const next = text[after];
          if (/^\$?\d/.test(word)) {
            // The end of the number, and with it the meaning of the quote, depends on psql's version.
            if (next === "'" || next === '$') throw unusualQuote(text, at);
          } else if (/^[\w\u0080-\u00ff]/.test(word)) {
            if (!isWhole && after === text.length) throw unsafe('a word longer than any name');
            if (endsWithColon(text, at, this.isBehindColon) && isRiskyVariable(word, next))
              throw unusualQuote(text, at - 1);
            this.nesting.word(word);
            if (!this.standardStrings && /^u$/i.test(word) && next === '&') throw unusualQuote(text, at);
            if (next === "'" && /^[ebx]$/i.test(word)) {
              this.keep(text, start, after + 1);
              this.quote = "'";
              this.hasEscapes = /^e$/i.test(word);
              return after + 1;
            }
          }
        }
      }
    }
  }

  private passQuoted(text: string, start: number, limit: number): number {
    const {quote} = this;
    let position = start;
    while (position < limit) {
      const end = text.indexOf(quote, position);
      const escape = this.hasEscapes ? text.indexOf('\\', position) : -1;
      if (escape !== -1 && escape < limit && (end === -1 || escape < end)) {
        position = Math.min(escape + 2, text.length);
        continue;
      }
      if (end === -1 || end >= limit) {
        position = limit;
        break;
      }
      position = end + quote.length;
      // A doubled quote represents one quote.
      if (quote.length === 1 && text[position] === quote) {
        position += 1;
        continue;
      }
      this.isBehindEscapes = this.hasEscapes;
      this.quote = '';
      break;
    }
    this.keep(text, start, position);
    return position;
  }

  private passBlockComment(text: string, start: number, limit: number): number {
    const token = /\/\*|\*\//g;
    token.lastIndex = start;
    const match = token.exec(text);
    const stop = !match || match.index >= limit ? limit : token.lastIndex;
    this.keepComment(text, start, stop);
    if (match && stop === token.lastIndex) this.commentDepth += match[0] === '/*' ? 1 : -1;
    return stop;
  }

  private passLineComment(text: string, start: number, limit: number): number {
    // For psql, a carriage return ends the line too.
    const end = text.slice(start).search(/[\r\n]/);
    const stop = end === -1 ? limit : start + end;
    this.comment = (this.comment + text.slice(start, stop)).slice(0, longestComment);
    this.keepComment(text, start, stop);
    if (end === -1) return limit;
    this.inLineComment = false;
    this.listener.onComment(this.comment.trimEnd());
    return stop;
  }

  /** A comment inside a statement separates words, so it is part of it. */
  private keepComment(text: string, start: number, end: number): void {
    if (this.whole !== '') this.whole += text.slice(start, end);
  }

  private keep(text: string, start: number, end: number): void {
    let from = start;
    if (this.statement === '') while (from < end && text.charCodeAt(from) <= 32) from++;
    if (this.options.keepsAll === true) this.whole += text.slice(this.whole === '' ? from : start, end);
    if (this.isCut) return;
    this.statement += text.slice(from, end);
    if (this.statement.length < longestHead) return;
    if (!interesting.test(this.statement) || this.statement.length > longestStatement) {
      this.statement = this.statement.slice(0, longestHead);
      this.isCut = true;
    }
  }

  private endStatement(endsLine: boolean): void {
    const {statement, isCut} = this;
    this.statement = '';
    this.isCut = false;
    const isInside = this.nesting.isInside;
    const isOfInterest = !isCut && interesting.test(statement);
    if (isOfInterest) this.check(statement, isInside);
    if (!isInside) this.nesting.reset();
    if (this.options.keepsAll !== true) {
      if (isOfInterest) this.listener.onStatement(statement, endsLine);
    } else if (!isInside) {
      const {whole} = this;
      this.whole = '';
      this.listener.onStatement(whole, endsLine);
    }
  }

  private check(statement: string, isInside: boolean): void {
    // For psql, the previous statement continues here: it would read commands instead of rows.
    if (isInside && /^copy\b/i.test(statement)) throw unusualCopy(statement);
    const strings = /^SET standard_conforming_strings = (on|off);$/.exec(statement);
    if (strings) this.standardStrings = strings[1] === 'on';
    else if (changesReading(statement)) throw unusualSetting(statement);
  }
}

/** @param before whether the text before `text` does */
function endsWithColon(text: string, end: number, before: boolean): boolean {
  let start = end;
  while (start > 0 && text[start - 1] === ':') start--;
  const isOdd = (end - start) % 2 === 1;
  return start === 0 ? isOdd !== before : isOdd;
}

/** Variables that psql sets to values from elsewhere: a value with a quote would open a string. */
const variablesOfOthers =
  /^(?:DBNAME|HISTFILE|HOST|LAST_ERROR_MESSAGE|PORT|PROMPT[123]|SERVER_VERSION_\w+|USER|VERSION\w*)/;

/**
 * Whether psql may read a word after a colon differently, as a variable (manual, psql, "SQL
 * Interpolation"): a variable's name ends before a "$", and the quote after it begins an ordinary literal.
 */
function isRiskyVariable(word: string, next: string | undefined): boolean {
  return word.includes('$') || (next === "'" && /^[ebx]$/i.test(word)) || variablesOfOthers.test(word);
}

function dollarTagAt(text: string, at: number): string | undefined {
  const tag = /\$(?:[A-Za-z_\u0080-\u00ff][\w\u0080-\u00ff]*)?\$/y;
  tag.lastIndex = at;
  return tag.exec(text)?.[0];
}
