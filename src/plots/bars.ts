/** Bar plots as SVG text: groups of horizontal bars, each with its value written behind it. */
import { escapeHtml, mapping, px, text, ticksOf, valueText, type Axis } from './plot.ts';

export interface Bar {
  /** Which of the plot's `series` it is of. */
  series: number;
  value: number;
  /** Low and high end, e.g. quartiles. */
  range?: readonly [number, number];
}

export interface BarPlot {
  kind: 'bars';
  title: string;
  caption: string;
  x: Axis;
  /** Where bars start (0 on a linear axis): 1 for ratios on a log axis, which has no 0. */
  origin?: number;
  /** At most five: there are five colours. */
  series: readonly string[];
  groups: readonly { name: string; bars: readonly Bar[] }[];
}

const WIDTH = 680;
const BAR = 13;
/** Between two bars, and between two groups. */
const GAP = 2;
const GROUP_GAP = 10;
const TOP = 24;
const AXIS = 44;
/** What the text of a value takes behind its bar. */
const VALUE = 70;
/** About what a letter takes. */
const LETTER = 7.2;

/** The SVG element of a bar plot. Values of a log axis must be over 0; there is at least one bar. */
export function barsOf({ title, x, origin = 0, series, groups }: BarPlot): string {
  const left = 20 + LETTER * Math.max(...groups.map(({ name }) => name.length));
  const all = groups.flatMap(({ bars }) => bars.flatMap(({ value, range }) => [value, ...(range ?? [])]));
  const axis = mapping(x, [origin, ...all], left, WIDTH - VALUE, x.scale === 'linear');
  const start = axis.to(origin);
  const parts: string[] = [];
  let y = TOP;
  for (const { name, bars } of groups) {
    const height = bars.length * (BAR + GAP);
    parts.push(text(left - 8, y + height / 2 + 3, name, 'text-anchor="end"'));
    for (const { series: of, value, range } of bars) {
      const end = axis.to(value);
      const middle = y + BAR / 2;
      const whisker = range
        ? `<line class="axis" x1="${px(axis.to(range[0]))}" x2="${px(axis.to(range[1]))}" y1="${px(middle)}" y2="${px(middle)}"/>`
        : '';
      const tip = `${name}, ${series[of]}: ${valueText(value, x)}`;
      parts.push(
        `<g class="series s${of}"><rect x="${px(Math.min(start, end))}" y="${px(y)}" width="${px(Math.abs(end - start))}" height="${BAR}"/>` +
          `<title>${escapeHtml(tip)}</title></g>${whisker}`,
        text(
          Math.max(start, end, range ? axis.to(range[1]) : 0) + 5,
          y + BAR - 2,
          valueText(value, x),
          'class="point"',
        ),
      );
      y += BAR + GAP;
    }
    y += GROUP_GAP;
  }
  const grid = ticksOf(x, axis.low, axis.high).flatMap((tick) => {
    const at = axis.to(tick);
    return [
      `<line class="grid" x1="${px(at)}" x2="${px(at)}" y1="${TOP - 4}" y2="${px(y)}"/>`,
      text(at, y + 15, valueText(tick, x), 'class="tick" text-anchor="middle"'),
    ];
  });
  let at = left;
  const legend = series.map((name, i) => {
    const item = `<g class="series s${i}"><rect x="${px(at)}" y="4" width="10" height="10"/></g>${text(at + 15, 13, name, 'class="name"')}`;
    at += 30 + LETTER * name.length;
    return item;
  });
  const label = text((left + WIDTH - VALUE) / 2, y + 34, x.label, 'class="label" text-anchor="middle"');
  const height = Math.ceil(y + AXIS);
  return `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escapeHtml(title)}">
${[...(series.length > 1 ? legend : []), ...grid, ...parts, label].join('\n')}
</svg>`;
}
