import {expect, it} from 'vitest';
import {didYouMean, nearest, nearestFirst} from '../../../src/lib/base/nearest.js';

it('finds the intended word, and none if no word is near', () => {
  const known = ['backup', 'restore', 'orders:clean', 'ls'];
  expect(nearest('bakcup', known)).toBe('backup');
  expect(nearest('order:clean', known)).toBe('orders:clean');
  expect(nearest('lx', known)).toBe('ls');
  expect(nearest('vacuum', known)).toBeUndefined();
  expect(nearest('backup', [])).toBeUndefined();
});

it('sorts table names by distance, with or without their schema', () => {
  const names = ['shop.customers', 'shop.order_items', 'audit.events', 'shop.orders'];
  expect(nearestFirst('ordrs', names)[0]).toBe('shop.orders');
  expect(nearestFirst('audit.orders', names).slice(0, 2)).toEqual(['audit.events', 'shop.orders']);
  expect(didYouMean('ordrs', names)).toBe(' Did you mean "shop.orders"?');
  expect(didYouMean('vacuum', names)).toBe('');
  expect(didYouMean('x', [])).toBe('');
});
