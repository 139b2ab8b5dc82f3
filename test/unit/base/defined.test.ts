import {expect, it} from 'vitest';
import {defined} from '../../../src/lib/base/defined.js';

interface Options {
  readonly name: string | undefined;
  readonly level: number;
  readonly label?: string | null;
  readonly isQuiet?: boolean;
}

it('leaves out what is undefined and nothing else, so that defaults stay', () => {
  const options = defined<Options>({name: '', level: 0, label: null, isQuiet: undefined});
  expect(Object.keys(options)).toEqual(['name', 'level', 'label']);
  expect({isQuiet: true, ...options}).toEqual({name: '', level: 0, label: null, isQuiet: true});
});

it('takes no undefined for a key that must have a value, and no key of another name', () => {
  // @ts-expect-error level is required
  defined<Options>({name: 'a', level: undefined});
  // @ts-expect-error the key is "label"
  expect(defined<Options>({name: 'a', level: 1, lable: 'x'})).toHaveProperty('lable');
});
