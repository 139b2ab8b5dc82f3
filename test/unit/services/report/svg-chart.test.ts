/** Pictures: their axes, their accessible names, and their escaped texts. */
import {describe, expect, it} from 'vitest';
import {escapeHtml} from '../../../../src/lib/services/report/escape-html.js';
import {
  barChart,
  calendarChart,
  timeChart,
  valueTicks,
} from '../../../../src/lib/services/report/svg-chart.js';

const hostile = `"><script>alert('1')</script>&\u202e`;
const period = {from: new Date('2026-11-01T00:00:00Z'), until: new Date('2026-11-08T00:00:00Z')};
const caption = {title: 'Sizes', description: 'The size grew.'};

describe('valueTicks', () => {
  it('begins at zero, reaches the highest value and has at most five ticks', () => {
    expect(valueTicks(168, [1, 2, 5, 10, 20, 50, 100])).toEqual([0, 50, 100, 150, 200]);
    expect(valueTicks(0, [1, 2, 5])).toEqual([0, 1]);
    expect(valueTicks(1_000_000, [1, 2])).toEqual([0, 250_000, 500_000, 750_000, 1_000_000]);
  });
});

describe('timeChart', () => {
  const scale = {format: String, steps: [25, 50]};
  const points = [
    {at: period.from, value: 0, label: 'a'},
    {at: period.until, value: 100, label: 'b', isBad: true},
  ];

  it('puts the first moment at the left edge of the plot and the highest value under the top', () => {
    const svg = timeChart(caption, [{name: 'x', points}], period, scale);
    expect(svg).toContain('d="M88 162L466 12"');
    expect(svg).toContain('>7 Nov</text>');
  });

  it('has a title and a description, and a ring around bad values', () => {
    const svg = timeChart(caption, [{name: 'x', points}], period, scale);
    expect(svg).toContain('<title>Sizes</title><desc>The size grew.</desc>');
    expect(svg).toContain('role="img" aria-label="Sizes"');
    expect(svg.match(/class="ring" cx="466" cy="12"/g)).toHaveLength(1);
  });

  it('draws only axes if there are no values, and no NaN', () => {
    expect(timeChart(caption, [], {from: period.from, until: period.from}, scale)).not.toContain('NaN');
  });
});

it('a calendar has a column for each week, and a sign next to days with problems', () => {
  const states = ['ok', 'failed', 'missed', 'alarm', 'none'] as const;
  const days = states.map((state, index) => ({
    // Saturday to Wednesday.
    day: new Date(Date.UTC(2026, 9, 31 + index)),
    state,
    label: state,
  }));
  const svg = calendarChart(caption, days);
  const cells = [
    ...svg.matchAll(
      /<g class="day (\w+)"><title>(.*?)<\/title><rect x="(\d+)" y="(\d+)".*?>(\d+\D?)<\/text>/g,
    ),
  ];
  expect(cells.map(([, state, title, x, y, text]) => [state, title, Number(x), Number(y), text])).toEqual([
    ['ok', '31 October: ok', 40, 127, '31'],
    ['failed', '1 November: failed', 40, 148, '1×'],
    ['missed', '2 November: missed', 96, 22, '2?'],
    ['alarm', '3 November: alarm', 96, 43, '3!'],
    ['none', '4 November: none', 96, 64, expect.stringMatching(/^4/)],
  ]);
});

it('names are escaped in every picture', () => {
  const named = {title: hostile, description: hostile};
  const points = [{at: period.from, value: 1, label: hostile}];
  const pictures = [
    timeChart(named, [{name: hostile, points}], period, {format: () => hostile, steps: [1]}),
    calendarChart(named, [{day: period.from, state: 'ok', label: hostile}]),
    barChart(named, [{name: hostile, value: 1, text: hostile}]),
  ];
  for (const picture of pictures) {
    expect(picture).not.toContain('<script');
    expect(picture).not.toContain('\u202e');
    expect(picture).toContain('&lt;script&gt;');
  }
  expect(escapeHtml(`<a href='x' b="y">&`)).toBe('&lt;a href=&#39;x&#39; b=&quot;y&quot;&gt;&amp;');
});
