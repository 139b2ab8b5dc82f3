/** Pictures: their axes and that names cannot break out of them. */
import {describe, expect, it} from 'vitest';
import {escapeHtml} from '../../../../src/lib/services/report/escape-html.js';
import {barChart, columnChart, timeChart, valueTicks} from '../../../../src/lib/services/report/svg-chart.js';

const hostile = `"><script>alert('1')</script>&\u202e`;
const period = {from: new Date('2026-11-01T00:00:00Z'), until: new Date('2026-11-08T00:00:00Z')};

describe('valueTicks', () => {
  it('begins at zero, reaches the highest value and has five marks at most', () => {
    expect(valueTicks(168, [1, 2, 5, 10, 20, 50, 100])).toEqual([0, 50, 100, 150, 200]);
    expect(valueTicks(0, [1, 2, 5])).toEqual([0, 1]);
    expect(valueTicks(1_000_000, [1, 2])).toEqual([0, 250_000, 500_000, 750_000, 1_000_000]);
  });
});

describe('timeChart', () => {
  it('puts the first moment at the left edge of the plot and the highest value under the top', () => {
    const points = [
      {at: period.from, value: 0, label: 'a'},
      {at: period.until, value: 100, label: 'b'},
    ];
    const svg = timeChart('t', [{name: 'x', points}], period, {width: 400, height: 200}, String, [25, 50]);
    expect(svg).toContain('d="M62 174L386 12"');
  });

  it('draws nothing but axes for no values, and no NaN', () => {
    const svg = timeChart(
      't',
      [],
      {from: period.from, until: period.from},
      {width: 400, height: 200},
      String,
      [1],
    );
    expect(svg).not.toContain('NaN');
  });
});

it('names are escaped in every picture', () => {
  const pictures = [
    timeChart(
      hostile,
      [{name: hostile, points: [{at: period.from, value: 1, label: hostile}]}],
      period,
      {width: 340, height: 200},
      () => hostile,
      [1],
    ),
    columnChart(hostile, [{label: hostile, parts: [{kind: 'ok', value: 1}]}], {width: 340, height: 200}),
    barChart(hostile, [{name: hostile, value: 1, text: hostile}], 340),
  ];
  for (const picture of pictures) {
    expect(picture).not.toContain('<script');
    expect(picture).not.toContain('\u202e');
    expect(picture).toContain('&lt;script&gt;');
  }
  expect(escapeHtml(`<a href='x' b="y">&`)).toBe('&lt;a href=&#39;x&#39; b=&quot;y&quot;&gt;&amp;');
});
