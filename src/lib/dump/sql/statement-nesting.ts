/** Finds the end of a SQL statement as psql does. */

/**
 * Whether a semicolon ends a statement for psql: not inside parentheses, nor between BEGIN and END of a function body
 * (src/fe_utils/psqlscan.l).
 */
export class StatementNesting {
  private parentheses = 0;
  private blocks = 0;
  /** The first words of the statement, as long as they may form CREATE OR REPLACE FUNCTION. */
  private head = '';
  private words = 0;

  get isInside(): boolean {
    return this.parentheses > 0 || this.blocks > 0;
  }

  reset(): void {
    this.blocks = this.words = 0;
    this.head = '';
  }

  parenthesis(which: '(' | ')'): void {
    this.parentheses = Math.max(0, this.parentheses + (which === '(' ? 1 : -1));
  }

  word(word: string): void {
    const lower = word.toLowerCase();
    if (this.words < 4)
      this.head += ['create', 'or', 'replace', 'function', 'procedure'].includes(lower)
        ? lower.charAt(0)
        : ' ';
    this.words++;
    if (this.parentheses > 0 || !/^c(?:or)?[fp]/.test(this.head)) return;
    if (lower === 'begin' || (lower === 'case' && this.blocks > 0)) this.blocks++;
    else if (lower === 'end' && this.blocks > 0) this.blocks--;
  }
}
