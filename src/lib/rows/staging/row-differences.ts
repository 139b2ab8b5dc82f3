/** Names the rows that came back different. */
import {AppError} from '../../base/errors.js';
import {beginCopy} from '../../postgres/copy-into.js';
import type {Session} from '../../postgres/client.js';
import {CopyText} from './copy-text.js';
import type {OrderFile} from '../file/order-file.js';
import {fromRelation} from './restore-target.js';
import {rowJsonExpression} from '../model/row-json.js';
import {sameKey} from './staged-conditions.js';
import type {StagedTable} from './staged-table.js';

/**
 * Compares row by row. None differs where a trigger merely wrote rows other than the restored ones.
 * @throws the failure of the file's words, naming the first few
 */
export async function refuseDifference(
  session: Session,
  file: OrderFile,
  staged: StagedTable,
  restored: number,
): Promise<void> {
  const {temp, target, key, json, isExact} = staged;
  if (key.length === 0) throw different(file, staged, 'Rows', []);
  const stored = rowJsonExpression('t', json.target);
  if (isExact) await loadTexts(session, file, staged);
  const [texts, wanted] = isExact
    ? [`JOIN ${textsTable} x ON x.line = s.line`, 'x.doc']
    : ['', rowJsonExpression('s', json.staged)];
  const rows = await session.query(
    `SELECT s.line, CASE WHEN t.ctid IS NULL THEN 'be missing' ELSE 'read ' || pg_catalog.left(${stored}, ${shownCharacters}) END AS now, count(*) OVER () AS count
       FROM ${temp} s ${texts} LEFT JOIN ${fromRelation(target)} t ON ${sameKey(staged)}
      WHERE s.reason IS NULL AND (t.ctid IS NULL OR ${stored} <> ${wanted}) ORDER BY s.line LIMIT 3`,
  );
  if (isExact) await session.query(`DROP TABLE ${textsTable}`);
  if (rows.length === 0) return;
  throw different(
    file,
    staged,
    `${rows[0]?.['count'] ?? ''} of ${restored} rows`,
    rows.map((row) => `line ${row['line'] ?? ''} would ${row['now'] ?? ''}`),
  );
}

/** The error for a restored value that differs: `what` of the table. */
export function different(
  {words}: Pick<OrderFile, 'words'>,
  {file: {table}}: StagedTable,
  what: string,
  details: readonly string[],
): AppError {
  return new AppError(
    words.failure,
    `${what} of ${table} came back different from ${words.source}; everything was rolled back, nothing was changed.`,
    {
      hint: 'A trigger, a default or a column type has probably changed since; the preview names columns that did.',
      details,
    },
  );
}

/** Of a row that differs. */
const shownCharacters = 400;

const textsTable = 'pg_temp.destino_texts';

/** The file's own text of each row of the table. */
async function loadTexts(session: Session, file: OrderFile, staged: StagedTable): Promise<void> {
  await session.query(`CREATE TEMPORARY TABLE ${textsTable} (line bigint, doc text)`);
  const wanted = file.tables.indexOf(staged.file);
  const copy = new CopyText();
  const input = await beginCopy(session, `COPY ${textsTable} (line, doc) FROM STDIN`);
  try {
    await file.send({
      row: (table, line, json, start, end, isLast) => {
        if (table !== wanted) return end;
        copy.reserve(end - start, 1);
        if (copy.line !== line) {
          copy.begin(line);
          copy.tab();
        }
        copy.text(json, start, end);
        if (isLast) copy.endRow();
        return end;
      },
      link: (_table, _line, _json, _start, end) => end,
      drain: async () => {
        for (const block of copy.take()) await input.write(block);
      },
    });
    await input.end();
  } catch (error) {
    await input.abandon();
    throw error;
  }
  await session.query(`ANALYZE ${textsTable}`);
}
