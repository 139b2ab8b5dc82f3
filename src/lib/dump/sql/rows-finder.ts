/** Tells where in the lines of a plain dump the rows of a table begin: not every line that looks so is a statement. */
import {SqlLexer} from './sql-lexer.js';

/** Of an overlong line that is looked at at once. */
const pieceBytes = 1 << 20;

export class RowsFinder {
  /** Of the dump's text, as it says itself. */
  encoding = 'UTF8';
  private copy: string | undefined;
  private readonly lexer = new SqlLexer({
    onStatement: (statement) => {
      if (/^copy\b/i.test(statement)) this.copy = statement;
      this.encoding = /^SET client_encoding = '(.*)';$/.exec(statement)?.[1] ?? this.encoding;
    },
    onComment: () => undefined,
    onMetaCommand: () => undefined,
  });

  /** Whether the next line is no part of a statement or a quote. */
  get isBetweenStatements(): boolean {
    return this.lexer.isBetweenStatements;
  }

  /**
   * @param line the next one outside of rows, without its newline
   * @returns the COPY statement that ends with it, a character a byte: the next lines are rows
   */
  take(line: Buffer): string | undefined {
    this.copy = undefined;
    let position = 0;
    for (; line.length - position > pieceBytes;)
      position += this.lexer.take(line.toString('latin1', position, position + pieceBytes), false);
    this.lexer.take(`${line.toString('latin1', position)}\n`, true);
    return this.copy;
  }
}
