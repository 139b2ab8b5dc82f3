/** Finds the lines of a plain dump where the rows of a table begin: a line inside a quote can look like a COPY statement. */
import {SqlLexer} from './sql-lexer.js';

/** Length of the pieces of an overlong line. */
const pieceBytes = 1 << 20;

export class RowsFinder {
  /** Encoding of the dump's text, according to the dump. */
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

  /** Whether the next line is outside statements and quotes. */
  get isBetweenStatements(): boolean {
    return this.lexer.isBetweenStatements;
  }

  /**
   * @param line the next line outside rows, without its newline
   * @returns the COPY statement that ends with it, one character per byte: rows follow
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
