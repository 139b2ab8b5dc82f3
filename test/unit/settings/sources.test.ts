/** Rules and locations that databases of the config file have of their own. */
import {expect, it} from 'vitest';
import type {Config} from '../../../src/lib/settings/config-schema.js';
import {allPlaces, placesOf, retentionOf} from '../../../src/lib/settings/sources.js';

const config: Config = {
  databases: [
    {name: 'own', urlEnv: 'A', places: ['/own', '/all'], retention: {keepLast: 1}},
    {name: 'cluster', urlEnv: 'B', include: ['*'], places: ['s3://bucket']},
    {name: 'plain', urlEnv: 'C'},
  ],
  storage: {places: ['/all']},
  retention: {keepLast: 9},
};

it('lists the locations of all databases, each once', () => {
  expect(allPlaces(config)).toEqual(['/all', '/own', 's3://bucket']);
  expect(allPlaces({})).toEqual([]);
});

it.each([
  ['own', ['/own', '/all'], {keepLast: 1}],
  ['cluster/shop', ['s3://bucket'], {keepLast: 9}],
  ['plain', ['/all'], {keepLast: 9}],
  ['owner', ['/all'], {keepLast: 9}],
])('finds those of %s', (label, places, retention) => {
  expect(placesOf(config, label)).toEqual(places);
  expect(retentionOf(config, label)).toEqual(retention);
});
