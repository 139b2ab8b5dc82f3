/** The `masks` section of the config file: what happens to the values of a column, or to the rows of a table, in a masked copy. */
import {z} from 'zod';
import {columnNameParts} from './column-name.js';

const simpleMasks = ['null', 'hash', 'email', 'name', 'phone', 'address', 'text'] as const;
/** Masks without settings. */
export type SimpleMask = (typeof simpleMasks)[number];

/** A member name, `*` for all of them, an index, or `[*]` for all elements. */
export const jsonPathPattern = /^\$(?:\.(?:[A-Za-z_][A-Za-z0-9_-]*|"[^"\\]+"|\*)|\[(?:\d+|\*)\])+$/;

const jsonMasks = ['null', 'hash', 'email', 'name', 'phone', 'address', 'text', 'keep'] as const;
export type JsonMask = (typeof jsonMasks)[number];

const columnMask = z.discriminatedUnion('mask', [
  z.strictObject({
    mask: z
      .enum(simpleMasks)
      .describe('Mask of the column; also constant, date, number, json, sql, program and keep.'),
  }),
  z.strictObject({
    mask: z.literal('constant'),
    value: z
      .union([z.string(), z.number(), z.boolean()])
      .describe('Value that every row gets, unless it is NULL ("constant").'),
  }),
  z.strictObject({
    mask: z.literal('date'),
    days: z
      .int()
      .min(1)
      .max(3650)
      .exactOptional()
      .describe('Largest shift in days ("date", default 30); all dates of one row shift by the same amount.'),
  }),
  z.strictObject({
    mask: z.literal('number'),
    percent: z
      .number()
      .min(1)
      .max(100)
      .exactOptional()
      .describe('Largest change in percent of the value ("number", default 10).'),
  }),
  z
    .strictObject({
      mask: z.literal('json'),
      paths: z
        .record(
          z.string().regex(jsonPathPattern, 'is not a path such as $.customer.email or $.items[*].note'),
          z.enum(jsonMasks),
        )
        .refine((paths) => Object.keys(paths).length > 0, 'names no path')
        .describe('Masks of the values at these paths, such as {"$.customer.email": "email"} ("json").'),
      rest: z
        .enum(['keep', 'remove'])
        .exactOptional()
        .describe(
          'Whether members without a path stay ("json", default "keep"); "remove" needs paths of one member.',
        ),
    })
    .refine(
      ({paths, rest}) => rest !== 'remove' || Object.keys(paths).every((path) => /^\$\.[^.[*]+$/.test(path)),
      'with "rest": "remove", every path names one member, such as $.email',
    ),
  z.strictObject({
    mask: z.literal('sql'),
    sql: z.string().min(1).describe('SQL expression over the columns of the row ("sql").'),
  }),
  z.strictObject({mask: z.literal('program')}),
  z.strictObject({
    mask: z.literal('keep'),
    reason: z.string().min(1).describe('Why the values are not personal, or may stay ("keep").'),
  }),
]);
export type ColumnMask = z.infer<typeof columnMask>;

const tableMask = z.strictObject({
  rows: z.literal('none').describe('The table, named without a column, gets no rows.'),
});

export const masksConfig = z
  .record(z.string(), z.union([columnMask, tableMask]))
  .superRefine((rules, context) => {
    for (const [name, rule] of Object.entries(rules)) {
      const parts = columnNameParts(name)?.length;
      const problem =
        'rows' in rule
          ? parts === 2 ? undefined : 'a rule for rows belongs to "schema.table"' // prettier-ignore
          : parts === 3 ? undefined : 'a mask belongs to "schema.table.column"'; // prettier-ignore
      if (problem !== undefined)
        context.addIssue({
          code: 'custom',
          path: [name],
          message: `${problem}; names that contain dots take double quotes`,
        });
    }
  });
export type MasksConfig = z.infer<typeof masksConfig>;

export const maskProgramConfig = z.strictObject({
  path: z
    .string()
    .min(1)
    .exactOptional()
    .describe('Path of greenmask, or its name in PATH (default "greenmask").'),
  config: z
    .string()
    .min(1)
    .describe('Config file of greenmask, relative to the working directory. The connection and the storage folder in it are replaced.'), // prettier-ignore
  timeoutSeconds: z
    .int()
    .min(1)
    .max(86_400)
    .exactOptional()
    .describe('Time limit; the program is ended and the run stops (default 3600).'),
});
export type MaskProgramConfig = z.infer<typeof maskProgramConfig>;
