/**
 * The rules of docs/style.md as a program: which phrases and constructions no text of this project uses.
 * The words come from the page's own table, so that page and test cannot differ.
 */
import ts from 'typescript-api';

export interface StyleRule {
  /** As the page names it: a phrase, or the name of a construction. */
  name: string;
  pattern: RegExp;
  instead: string;
}

/** Prose of one file: a comment, a text, a paragraph, with the line it starts on. */
export interface Prose {
  line: number;
  text: string;
}

export interface StyleFinding {
  line: number;
  rule: string;
  instead: string;
  text: string;
}

/** A sentence starts at the beginning of the text or after the end of another one. */
const start = String.raw`(?:^|(?<=[.!?:;]\s)|(?<=\n\s*))`;

/** Constructions that a list of words cannot name; docs/style.md explains each under the same name. */
const constructions: readonly StyleRule[] = [
  {
    name: 'a clause as the subject: What …',
    pattern: new RegExp(String.raw`${start}(?:What|Whatever)\s(?![^.!?]*\?)`, 'gu'),
    instead: 'a concrete subject: the backup, the database, pg_dump, you',
  },
  {
    name: 'a clause as the subject: Whoever …',
    pattern: /\bwhoever\b/giu,
    instead: 'a concrete subject: the user, the caller, another session',
  },
  {
    name: 'a clause as the subject: That …',
    pattern: new RegExp(
      String.raw`${start}That (?:a|an|the|it|its|no|nothing|nobody|somebody|they|there|such|each|every|all|both) `,
      'gu',
    ),
    instead: 'a concrete subject',
  },
  {
    name: 'X is no Y',
    pattern: /(?<!\b(?:there|There)\s)\b(?:is|are|was|were) no (?!longer\b|more\b|less\b|matter\b)/gu,
    instead: 'X is not Y',
  },
];

/** Words with a second meaning that stays: the phrase is not a finding where one of these stands. */
const exceptions: Readonly<Record<string, RegExp>> = {
  holds:
    /\bholds? (?:(?:a|an|the|its|no|their|this|any|all|that|one|two|both|row|of) )*(?:\w+ )?(?:locks?|snapshots?|transactions?|connections?|memory|sessions?)\b/iu,
  hold: /\bholds? (?:(?:a|an|the|its|no|their|this|any|all|that|one|two|both|row|of) )*(?:\w+ )?(?:locks?|snapshots?|transactions?|connections?|memory|sessions?)\b/iu,
  mark: /\b(?:question|byte order|quotation|exclamation) mark\b|^mark as set aside$/iu,
  marks: /\b(?:question|quotation) marks\b/iu,
  place: /\b(?:in|take|takes|took) place\b|--(?:from|to) PLACE\b/iu,
  leaf: /\bleaf tables?\b/iu,
};

/** Every rule; words are the first column of the page's table, several divided by commas, each in backquotes. */
export function styleRules(page: string): StyleRule[] {
  const words = [...page.matchAll(/^\| (`[^|]+`) \| ([^|]+) \|$/gmu)].flatMap(
    ([, phrases = '', instead = '']) =>
      [...phrases.matchAll(/`([^`]+)`/gu)].map(([, phrase = '']) => ({
        name: phrase,
        pattern: new RegExp(
          String.raw`(?<![-\w/.])${phrase.replaceAll(' ', String.raw`\s+`)}(?![-\w/(])`,
          'giu',
        ),
        instead: instead.trim(),
      })),
  );
  return [...words, ...constructions];
}

/** The violations in one file's prose. */
export function styleFindings(prose: readonly Prose[], rules: readonly StyleRule[]): StyleFinding[] {
  return prose.flatMap(({line, text}) => {
    const plain = text.replaceAll(/`[^`]*`/gu, '``');
    return rules.flatMap(({name, pattern, instead}) =>
      [...plain.matchAll(pattern)]
        .filter(({index, 0: found}) => {
          const around = plain.slice(Math.max(0, index - 20), index + found.length + 50);
          return !exceptions[name]?.test(around);
        })
        .map(({index}) => ({
          line: line + plain.slice(0, index).split('\n').length - 1,
          rule: name,
          instead,
          text: plain.slice(Math.max(0, index - 30), index + 60).replaceAll(/\s+/gu, ' '),
        })),
    );
  });
}

/** Comments and texts of a source file. A text without a space is a name or a key and not prose; nor is SQL. */
export function proseOfSource(path: string, source: string, texts: 'all' | 'test names'): Prose[] {
  const file = ts.createSourceFile(path, source, ts.ScriptTarget.Latest, true);
  const found: Prose[] = [];
  const lineOf = (position: number): number => file.getLineAndCharacterOfPosition(position).line + 1;
  const seen = new Set<number>();
  const addComments = (node: ts.Node): void => {
    for (const range of [
      ...(ts.getLeadingCommentRanges(source, node.getFullStart()) ?? []),
      ...(ts.getTrailingCommentRanges(source, node.getEnd()) ?? []),
    ]) {
      if (seen.has(range.pos)) continue;
      seen.add(range.pos);
      const text = source
        .slice(range.pos, range.end)
        .replaceAll(/^\s*(?:\/\*\*?|\/\/|\*(?!\/))\s?/gmu, '')
        .replace(/\s*\*\/$/u, '');
      found.push({line: lineOf(range.pos), text});
    }
  };
  const isProse = (text: string): boolean =>
    /\s\S/u.test(text.trim()) &&
    !/^\s*(?:SELECT|WITH|INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|COPY|SET|LOCK|COMMENT|DO|FROM|WHERE|AND|JOIN|LEFT|ORDER|GROUP|GRANT|REVOKE|CASE)\b/u.test(
      text,
    );
  const isTestName = (node: ts.Node): boolean =>
    ts.isCallExpression(node.parent) &&
    node.parent.arguments[0] === node &&
    /^(?:it|describe|test)\b/u.test(node.parent.expression.getText());
  const visit = (node: ts.Node): void => {
    addComments(node);
    if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node)) {
      if (isProse(node.text) && (texts === 'all' || isTestName(node)))
        found.push({line: lineOf(node.getStart()), text: node.text});
    } else if (ts.isTemplateExpression(node)) {
      const text = node.head.text + node.templateSpans.map(({literal}) => `…${literal.text}`).join('');
      if (isProse(text) && (texts === 'all' || isTestName(node)))
        found.push({line: lineOf(node.getStart()), text});
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  addComments(file.endOfFileToken);
  return found;
}

/** The lines of a page, empty where they are code or a comment. */
export function proseOfPage(page: string): Prose[] {
  const empty = (text: string): string => text.replaceAll(/[^\n]/gu, '');
  const plain = page.replaceAll(/^ *(```|~~~)[\s\S]*?^ *\1/gmu, empty).replaceAll(/<!--[\s\S]*?-->/gu, empty);
  return plain.split('\n').map((text, index) => ({line: index + 1, text}));
}

/** Paragraphs and list items of a page with more than five sentences. */
export function longParagraphs(page: string): {line: number; sentences: number}[] {
  const blocks: Prose[] = [];
  let isOpen = false;
  for (const {line, text} of proseOfPage(page)) {
    const isBreak = /^\s*$|^\s*[|#>]/u.test(text);
    const last = blocks.at(-1);
    if (isBreak) isOpen = false;
    else if (isOpen && last && !/^\s*(?:[-*]|\d+\.) /u.test(text)) last.text += ` ${text.trim()}`;
    else {
      blocks.push({line, text: text.trim()});
      isOpen = true;
    }
  }
  return blocks
    .map(({line, text}) => ({
      line,
      sentences:
        text.replaceAll(/`[^`]*`|\b(?:e\.g|i\.e)\./gu, 'x').match(/[.!?][)"*]*(?=\s+[A-Z*`"(x]|$)/gu)
          ?.length ?? 0,
    }))
    .filter(({sentences}) => sentences > 5);
}
