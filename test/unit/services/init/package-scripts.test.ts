/** package.json gets scripts, and every other byte stays. */
import {describe, expect, it} from 'vitest';
import {addPackageScripts} from '../../../../src/lib/services/init/package-scripts.js';

const scripts = {a: 'tool a', 'b:c': 'tool "b"'};
const add = async (text: string, isReplacing = false) => addPackageScripts(text, scripts, isReplacing);

describe('addPackageScripts', () => {
  it('adds after the last script, in the indentation and the line ends of the file', async () => {
    const text =
      '{\r\n\t"name": "x", "files": ["a","b"],\r\n\t"scripts": {\r\n\t\t"z": "1.0"\r\n\t},\r\n\t"n": 1.0\r\n}';
    const {text: result, added} = await add(text);
    expect(result).toBe(
      text.replace('"1.0"\r\n', '"1.0",\r\n\t\t"a": "tool a",\r\n\t\t"b:c": "tool \\"b\\""\r\n'),
    );
    expect(added).toEqual(['a', 'b:c']);
  });

  it.each([
    [
      '{\n    "scripts": {}\n}\n',
      '{\n    "scripts": {\n        "a": "tool a",\n        "b:c": "tool \\"b\\""\n    }\n}\n',
    ],
    [
      '{\n  "name": "x"\n}\n',
      '{\n  "name": "x",\n  "scripts": {\n    "a": "tool a",\n    "b:c": "tool \\"b\\""\n  }\n}\n',
    ],
    ['{}', '{\n  "scripts": {\n    "a": "tool a",\n    "b:c": "tool \\"b\\""\n  }\n}'],
  ])('creates the scripts if there are none: %j', async (text, expected) => {
    expect((await add(text)).text).toBe(expected);
    expect((await add(expected)).text).toBe(expected);
  });

  it('reports and keeps an existing script of the same name, and replaces it only on request', async () => {
    const text = '{"scripts":{"a":"mine","1":"x","1":"y"}}';
    const kept = await add(text);
    expect(kept.text).toContain('"a":"mine","1":"x","1":"y"');
    expect(kept.differing).toEqual([{name: 'a', command: 'mine'}]);
    expect((await add(text, true)).text).toContain('{"a":"tool a","1":"x","1":"y",');
  });

  it.each(['', '[]', '{"scripts": []}', '{"a": 1,}', '{ // x\n}'])('refuses %j', async (text) => {
    await expect(add(text)).rejects.toMatchObject({code: 'CONFIG_INVALID'});
  });
});
