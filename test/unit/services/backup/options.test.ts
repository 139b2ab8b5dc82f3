import {describe, expect, it} from 'vitest';
import {compressArgument} from '../../../../src/lib/postgres/tools/pg-dump.js';
import {
  type BackupRequest,
  fitBackupOptions,
  resolveBackupOptions,
} from '../../../../src/lib/services/backup/options.js';

function fit(
  request: BackupRequest,
  found: {hasZstd?: boolean; toolMajor?: number; sizes?: number[]; cores?: number} = {},
) {
  const tables = (found.sizes ?? [100]).map((sizeBytes, index) => {
    const name = `t${index}`;
    return {
      schema: 'public',
      name,
      sizeBytes,
      isPartitioned: false,
      isVisible: true,
      extension: null,
      isWithoutRows: false,
    };
  });
  const options = resolveBackupOptions(request, {}, found.cores ?? 8);
  return fitBackupOptions(
    options,
    request,
    {},
    {
      hasZstd: found.hasZstd ?? false,
      toolMajor: found.toolMajor ?? 15,
      tables,
    },
  );
}

describe('the roles of the server', () => {
  const rolesOf = (request: BackupRequest, backup: object, isOfServer: boolean) => {
    const {hasRoles, areRolesOptional} = resolveBackupOptions(request, {backup}, 8, isOfServer);
    return {hasRoles, areRolesOptional};
  };

  it.each([
    ['a single database', {}, {}, false, false, false],
    ['a database of a server', {}, {}, true, true, true],
    ['a server whose config file says no', {}, {withRoles: false}, true, false, false],
    ['a server and --no-with-roles', {withRoles: false}, {}, true, false, false],
    ['a server and --with-roles', {withRoles: true}, {withRoles: false}, true, true, false],
    ['a server whose config file says yes', {}, {withRoles: true}, true, true, false],
    ['a server with skipUnchanged', {}, {skipUnchanged: true}, true, false, false],
    ['a server and --skip-unchanged', {skipUnchanged: true}, {}, true, false, false],
    ['a server and --no-local', {isStreamed: true}, {}, true, false, true],
  ] as const)('of %s', (_what, request, config, isOfServer, hasRoles, areRolesOptional) => {
    expect(rolesOf(request, config, isOfServer)).toEqual({hasRoles, areRolesOptional});
  });
});

describe('the compression of a dump', () => {
  it.each([
    ['custom', false, undefined],
    ['custom', true, 'zstd:3'],
    ['directory', false, '4'],
    ['directory', true, 'zstd:3'],
    ['sql', true, '6'],
  ] as const)('%s, with zstd %s, is %s by default', (format, hasZstd, compression) => {
    expect(compressArgument(fit({format}, {hasZstd}))).toBe(compression);
  });

  it('is the requested one, even if pg_dump has a better one', () => {
    expect(compressArgument(fit({compressLevel: 9}, {hasZstd: true}))).toBe('9');
    expect(compressArgument(fit({compress: false, format: 'directory'}, {hasZstd: true}))).toBe('0');
    expect(compressArgument(fit({compressMethod: 'lz4'}))).toBe('lz4');
    expect(compressArgument(fit({compressMethod: 'zstd', compressLevel: 19}))).toBe('zstd:19');
    expect(compressArgument(fit({compressMethod: 'gzip', compressLevel: 9}))).toBe('9');
  });
});

describe("the program's own compression", () => {
  it.each([
    ['a custom dump that is read back', {}, {}, 5],
    ['one that is not read back', {verify: false}, {}, undefined],
    ['one with a requested level', {compressLevel: 6}, {}, undefined],
    ['one with gzip requested', {compressMethod: 'gzip'}, {}, 5],
    ['one with lz4 requested', {compressMethod: 'lz4'}, {}, undefined],
    ['one without compression', {compress: false}, {}, undefined],
    ['one that pg_dump compresses with zstd', {}, {hasZstd: true}, undefined],
    ['one of an unknown pg_dump version', {}, {toolMajor: 19}, undefined],
    ['definitions only', {schemaOnly: true}, {}, undefined],
    ['a folder', {format: 'directory'}, {}, undefined],
    ['plain SQL', {format: 'sql'}, {hasZstd: true}, 5],
    ['plain SQL with a requested level', {format: 'sql', compressLevel: 6}, {}, undefined],
    ['plain SQL without compression', {format: 'sql', compress: false}, {}, undefined],
    ['a dump streamed to a bucket', {isStreamed: true}, {}, 5],
  ] as const)('of %s', (_what, request, found, level) => {
    expect(fit(request, found).recompressLevel).toBe(level);
  });
});

describe('the connections of a dump', () => {
  it.each([
    ['as many as the sizes of the tables keep busy', [100, 60, 40], 2],
    ['two if one table is nearly everything', [950, 30, 20], 2],
    ['one for a single table', [100], 1],
    ['at most four', [1, 1, 1, 1, 1, 1, 1, 1], 4],
    ['at most one per table if no size is known', [0, 0, 0], 3],
    ['one if there is no table', [], 1],
  ])('are %s', (_what, sizes, jobs) => {
    expect(fit({format: 'directory'}, {sizes}).parallelJobs).toBe(jobs);
  });

  it('are as many as requested, and by default at most the number of cores', () => {
    expect(fit({format: 'directory', parallelJobs: 7}, {sizes: [100]}).parallelJobs).toBe(7);
    expect(fit({format: 'directory'}, {sizes: [1, 1, 1, 1], cores: 2}).parallelJobs).toBe(2);
  });
});
