import {expect, it} from 'vitest';
import {nearest} from '../../src/lib/nearest.js';

it('finds what was meant, and nothing when nothing is near', () => {
  const known = ['backup', 'restore', 'orders:clean', 'ls'];
  expect(nearest('bakcup', known)).toBe('backup');
  expect(nearest('order:clean', known)).toBe('orders:clean');
  expect(nearest('lx', known)).toBe('ls');
  expect(nearest('vacuum', known)).toBeUndefined();
  expect(nearest('backup', [])).toBeUndefined();
});
