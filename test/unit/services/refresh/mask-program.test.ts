/** The masking program of the config file: what is refused before anything is restored, and how doctor names it. */
import {resolve} from 'node:path';
import {expect, it} from 'vitest';
import {maskRules} from '../../../../src/lib/masks/mask-rules.js';
import {checkMasking} from '../../../../src/lib/services/doctor/tools.js';
import {checkMaskProgram, hasStorageFolder} from '../../../../src/lib/services/refresh/mask-program.js';
import {configSchema} from '../../../../src/lib/settings/config-schema.js';
import {testContext} from '../../../support/test-context.js';

const program = resolve('test/support/greenmask-stand-in.mjs');

const settingsWith = (maskProgram?: object) => {
  const config = configSchema.parse({
    masks: {'public.people.email': {mask: 'program'}},
    ...(maskProgram ? {maskProgram} : {}),
  });
  return testContext('/nonexistent', {settings: {config}}).settings;
};

const check = (maskProgram?: object): Promise<string | null> => {
  const settings = settingsWith(maskProgram);
  return checkMaskProgram(settings, maskRules(settings.config.masks));
};

it.each([
  ['storage:\n  type: "directory"\n  directory:\n    path: "/tmp/x" # here\ndump: {}', true],
  ['# dumps\nstorage:\n\n  s3:\n    bucket: b\n\n  # local\n  directory:\n    path: x', true],
  ['storage:\n  directory: {}\n  ssh:\n    path: x', false],
  ['storage:\n  directory:\ndump:\n  path: x', false],
  ['storage: {directory: {path: x}}', false],
  ['{"storage": {"directory": {"path": "x"}}}', true],
  ['{"storage": {"type": "s3"}}', false],
  ['{broken', false],
])('the storage folder of %j is set: %s', (text, isSet) => {
  expect(hasStorageFolder(text)).toBe(isSet);
});

it('a mask by a program needs one in the config, installed, with a config of its own', async () => {
  await expect(check()).rejects.toMatchObject({code: 'CONFIG_INVALID'});
  await expect(check({path: 'greenmask-that-is-missing', config: 'x'})).rejects.toMatchObject({
    code: 'MASK_PROGRAM_NOT_FOUND',
  });
  await expect(check({path: program, config: 'missing.yml'})).rejects.toMatchObject({
    message: expect.stringContaining('cannot be read') as string,
  });
  await expect(check({path: program, config: resolve('package.json')})).rejects.toMatchObject({
    message: expect.stringContaining('no storage.directory.path') as string,
  });
});

it('doctor names its version', async () => {
  expect(await checkMasking(settingsWith())).toEqual([]);
  expect(await checkMasking(settingsWith({path: program, config: 'x'}))).toMatchObject([
    {name: 'mask-program', ok: true, message: `greenmask version 0.2.22 stand-in at ${program}`},
  ]);
  expect(await checkMasking(settingsWith({path: '/nonexistent/greenmask', config: 'x'}))).toMatchObject([
    {name: 'mask-program', ok: false, needed: false},
  ]);
});
