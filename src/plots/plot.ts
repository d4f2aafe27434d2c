/** Line and scatter plots as SVG text: axes with units, colours by class (see `plotStyle`), tooltips by <title>. */

export interface Axis {
  label: string;
  scale: 'linear' | 'log';
  /** Bytes have ticks at powers of two. */
  unit?: 'bytes';
  /** The ticks, where the data say what they are, such as lengths. */
  ticks?: readonly number[];
}

export interface Point {
  x: number;
  y: number;
  /** What a scatter plot writes beside it. */
  label?: string;
  /** Low and high end, e.g. quartiles. */
  range?: readonly [number, number];
}

export interface Series {
  name: string;
  points: readonly Point[];
}

export interface Plot {
  title: string;
  caption: string;
  x: Axis;
  y: Axis;
  /** At most five: there are five colours. */
  series: readonly Series[];
  kind: 'lines' | 'scatter';
  /** Drawn behind the data, such as a roof. */
  guides?: readonly { name: string; points: readonly Point[] }[];
}

const WIDTH = 680;
const HEIGHT = 400;
const MARGIN = { left: 78, right: 146, top: 16, bottom: 52 };
const RIGHT = WIDTH - MARGIN.right;
const BOTTOM = HEIGHT - MARGIN.bottom;
/** Pixels that a line of text takes, and about what a letter does. */
const LINE = 15;
const LETTER = 6.8;

export const escapeHtml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

/** 1536 → "1.5 KiB". */
function bytesText(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, value)) / 10)));
  return `${numberText(value / 2 ** (10 * power))} ${units[power]}`;
}

/** Three significant digits, thousands apart. */
export const numberText = (value: number): string =>
  value.toLocaleString('en', { maximumSignificantDigits: Math.abs(value) >= 1000 ? 4 : 3 });

export const valueText = (value: number, axis: Axis): string =>
  axis.unit === 'bytes' ? bytesText(value) : numberText(value);

/** Ticks at round numbers within low..high. Pure. */
export function ticksOf(axis: Axis, low: number, high: number): number[] {
  if (axis.ticks) return [...axis.ticks];
  if (axis.scale === 'log') {
    const base = axis.unit === 'bytes' ? 2 : 10;
    const decades = Math.log(high / low) / Math.log(base);
    const step = axis.unit === 'bytes' ? Math.max(1, Math.ceil(decades / 7)) : Math.ceil(decades / 8);
    const digits = axis.unit === 'bytes' || decades > 3 ? [1] : [1, 2, 5];
    const ticks: number[] = [];
    for (
      let power = Math.floor(Math.log(low) / Math.log(base));
      power <= Math.log(high) / Math.log(base);
      power += step
    )
      for (const digit of digits) {
        const tick = digit * base ** power;
        if (tick >= low * 0.999 && tick <= high * 1.001) ticks.push(tick);
      }
    return ticks;
  }
  const rough = (high - low) / 6;
  const magnitude = 10 ** Math.floor(Math.log10(rough));
  const step =
    axis.unit === 'bytes'
      ? 2 ** Math.ceil(Math.log2(rough))
      : ([1, 2, 5, 10].find((m) => m * magnitude >= rough) as number) * magnitude;
  return Array.from({ length: Math.floor(high / step) - Math.ceil(low / step) + 1 }, (_, i) => {
    const tick = (Math.ceil(low / step) + i) * step;
    return Number(tick.toPrecision(12));
  });
}

export interface Mapping {
  low: number;
  high: number;
  to(value: number): number;
}

/** Maps values to from..until pixels, with some room around them; a linear axis of amounts starts at 0. */
export function mapping(
  axis: Axis,
  values: readonly number[],
  from: number,
  until: number,
  fromZero: boolean,
): Mapping {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const isLog = axis.scale === 'log';
  const room = isLog ? (most / least) ** 0.05 * 1.05 : 0.05 * (most - least || 1);
  const low = isLog ? least / room : fromZero ? 0 : least - room;
  const high = isLog ? most * room : most + room;
  const share = (value: number): number =>
    isLog ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
  return { low, high, to: (value) => from + share(value) * (until - from) };
}

export const px = (value: number): string => value.toFixed(1);

/** A marker of its own shape for every series: colour is not the only difference. */
function marker(index: number, x: number, y: number): string {
  const r = 4.5;
  const at = (dx: number, dy: number): string => `${px(x + dx)},${px(y + dy)}`;
  switch (index % 5) {
    case 0:
      return `<circle cx="${px(x)}" cy="${px(y)}" r="${r}"/>`;
    case 1:
      return `<rect x="${px(x - r)}" y="${px(y - r)}" width="${2 * r}" height="${2 * r}"/>`;
    case 2:
      return `<polygon points="${at(0, -r - 1)} ${at(r + 1, r)} ${at(-r - 1, r)}"/>`;
    case 3:
      return `<polygon points="${at(0, -r - 1)} ${at(r + 1, 0)} ${at(0, r + 1)} ${at(-r - 1, 0)}"/>`;
    default:
      return `<polygon points="${at(0, r + 1)} ${at(r + 1, -r)} ${at(-r - 1, -r)}"/>`;
  }
}

export const text = (x: number, y: number, content: string, attributes = ''): string =>
  `<text x="${px(x)}" y="${px(y)}" ${attributes}>${escapeHtml(content)}</text>`;

function axes(plot: Plot, x: Mapping, y: Mapping): string {
  const parts: string[] = [];
  for (const tick of ticksOf(plot.y, y.low, y.high)) {
    const at = y.to(tick);
    parts.push(`<line class="grid" x1="${MARGIN.left}" x2="${RIGHT}" y1="${px(at)}" y2="${px(at)}"/>`);
    parts.push(text(MARGIN.left - 8, at + 4, valueText(tick, plot.y), 'class="tick" text-anchor="end"'));
  }
  for (const tick of ticksOf(plot.x, x.low, x.high)) {
    const at = x.to(tick);
    parts.push(`<line class="axis" x1="${px(at)}" x2="${px(at)}" y1="${BOTTOM}" y2="${BOTTOM + 5}"/>`);
    parts.push(text(at, BOTTOM + 19, valueText(tick, plot.x), 'class="tick" text-anchor="middle"'));
  }
  parts.push(`<line class="axis" x1="${MARGIN.left}" x2="${RIGHT}" y1="${BOTTOM}" y2="${BOTTOM}"/>`);
  parts.push(
    text((MARGIN.left + RIGHT) / 2, HEIGHT - 10, plot.x.label, 'class="label" text-anchor="middle"'),
  );
  const middle = (MARGIN.top + BOTTOM) / 2;
  const turned = `class="label" text-anchor="middle" transform="rotate(-90 16 ${px(middle)})"`;
  parts.push(text(16, middle, plot.y.label, turned));
  return parts.join('\n');
}

/** Positions as near to those wanted as at least `gap` between neighbours allows, and none over `most`. */
export function spread(wanted: readonly number[], gap: number, most: number): number[] {
  const order = wanted.map((_, i) => i).sort((a, b) => wanted[a] - wanted[b]);
  const placed = [...wanted];
  order.forEach((i, n) => {
    if (n > 0) placed[i] = Math.max(placed[i], placed[order[n - 1]] + gap);
  });
  order.reverse().forEach((i, n) => {
    placed[i] = Math.min(placed[i], n === 0 ? most : placed[order[n - 1]] - gap);
  });
  return placed;
}

/** @param labels where the name of each series goes, in pixels downwards */
function lines(plot: Plot, x: Mapping, y: Mapping, labels: readonly number[]): string {
  return plot.series
    .map(({ name, points }, i) => {
      const path = points.map((p) => `${px(x.to(p.x))},${px(y.to(p.y))}`).join(' ');
      const marks = points.map((p) => {
        const bar = p.range
          ? `<line x1="${px(x.to(p.x))}" x2="${px(x.to(p.x))}" y1="${px(y.to(p.range[0]))}" y2="${px(y.to(p.range[1]))}"/>`
          : '';
        const tip = `${name}, ${valueText(p.x, plot.x)}: ${valueText(p.y, plot.y)}`;
        return `<g>${bar}${marker(i, x.to(p.x), y.to(p.y))}<title>${escapeHtml(tip)}</title></g>`;
      });
      return [
        `<g class="series s${i}"><polyline points="${path}"/>${marks.join('')}${marker(i, RIGHT + 14, labels[i])}</g>`,
        text(RIGHT + 24, labels[i] + 4, name, 'class="name"'),
      ].join('\n');
    })
    .join('\n');
}

interface Box {
  left: number;
  right: number;
  top: number;
  bottom: number;
}
const overlap = (a: Box, b: Box): boolean =>
  a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;

/** Points with their labels where there is room for them; the others have theirs in the tooltip alone. */
function scatter(plot: Plot, x: Mapping, y: Mapping): string {
  const all = plot.series.flatMap(({ points }, s) =>
    points.map((p) => ({ ...p, s, at: [x.to(p.x), y.to(p.y)] as const })),
  );
  const taken: Box[] = all.map(({ at: [cx, cy] }) => ({
    ...{ left: cx - 5, right: cx + 5, top: cy - 5, bottom: cy + 5 },
  }));
  const labels: string[] = [];
  for (const { label = '', at } of [...all].sort((a, b) => b.y - a.y)) {
    const width = LETTER * label.length;
    const places = [
      { left: at[0] + 8, top: at[1] - 7, anchor: 'start', from: at[0] + 8 },
      { left: at[0] - 8 - width, top: at[1] - 7, anchor: 'end', from: at[0] - 8 },
      { left: at[0] - width / 2, top: at[1] - 20, anchor: 'middle', from: at[0] },
      { left: at[0] - width / 2, top: at[1] + 7, anchor: 'middle', from: at[0] },
    ].map((place) => ({ ...place, right: place.left + width, bottom: place.top + LINE - 2 }));
    const inside = (box: Box) => box.left > MARGIN.left && box.right < WIDTH && box.bottom < BOTTOM;
    const free = places.find((box) => inside(box) && !taken.some((other) => overlap(box, other)));
    if (!free) continue;
    taken.push(free);
    // Widths are estimates: what is anchored at the point's side keeps its distance from the point.
    labels.push(text(free.from, free.bottom - 2, label, `class="point" text-anchor="${free.anchor}"`));
  }
  const marks = all.map(({ s, at, label = '', ...p }) => {
    const tip = `${label}, ${plot.series[s].name}: ${valueText(p.x, plot.x)}, ${valueText(p.y, plot.y)}`;
    return `<g class="series s${s}">${marker(s, ...at)}<title>${escapeHtml(tip)}</title></g>`;
  });
  const legend = plot.series.map(({ name }, s) => {
    const top = BOTTOM - 12 - LINE * (plot.series.length - 1 - s);
    return `<g class="series s${s}">${marker(s, RIGHT + 24, top)}</g>${text(RIGHT + 34, top + 4, name, 'class="name"')}`;
  });
  return [...marks, ...labels, ...legend].join('\n');
}

/** The colours of a plot. */
export interface Palette {
  paper: string;
  ink: string;
  soft: string;
  rule: string;
  /** One for each series. */
  series: readonly string[];
}

/** On white: colours of Okabe and Ito (2008), which the colour-blind tell apart, darkened. */
export const lightPalette: Palette = {
  paper: '#fff',
  ink: '#1c1c1c',
  soft: '#5c5c5c',
  rule: '#e2e2e2',
  series: ['#0072b2', '#c04d00', '#007a5a', '#8a4f7d', '#7d6a00'],
};

/** The CSS of plots; its rules are for what is inside an svg element. */
export const plotStyle = ({ paper, ink, soft, rule, series }: Palette): string => `
svg { font: 12px system-ui, sans-serif; }
svg text { fill: ${ink}; } svg .tick { fill: ${soft}; } svg .point { font-size: 11px; fill: ${soft}; }
.grid { stroke: ${rule}; } .axis { stroke: ${soft}; }
.guide { fill: none; stroke: ${soft}; stroke-dasharray: 5 4; }
.series polyline { fill: none; stroke-width: 2; } .series line { stroke-width: 1.5; }
${series.map((colour, i) => `.s${i} { stroke: ${colour}; fill: ${colour}; }`).join(' ')}
.series circle, .series rect, .series polygon { stroke: ${paper}; }
`;

/** Room for the title and the caption of a plot that stands alone. */
const HEAD = 52;

/** One file with plots below each other, white behind them. */
export function svgFile(plots: readonly Plot[]): string {
  const height = plots.length * (HEAD + HEIGHT);
  const parts = plots.map(
    (plot, i) => `<g transform="translate(0 ${i * (HEAD + HEIGHT)})">
${text(MARGIN.left, 24, plot.title, 'font-size="15" font-weight="bold"')}
${text(MARGIN.left, 42, plot.caption, 'class="tick"')}
<g transform="translate(0 ${HEAD})">${drawing(plot)}</g></g>`,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}">`,
    `<style>${plotStyle(lightPalette)}</style>`,
    `<rect width="${WIDTH}" height="${height}" fill="${lightPalette.paper}"/>`,
    ...parts,
    '</svg>\n',
  ].join('\n');
}

/** The SVG element of a plot. Values of a log axis must be over 0; a series has at least one point. */
export const svgOf = (plot: Plot): string =>
  `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(plot.title)}">\n${drawing(plot)}\n</svg>`;

/** What is inside of it. */
function drawing(plot: Plot): string {
  const points = [...plot.series, ...(plot.guides ?? [])].flatMap((series) => series.points);
  const values = (of: 'x' | 'y') => points.flatMap((p) => [p[of], ...(of === 'y' ? (p.range ?? []) : [])]);
  const x = mapping(plot.x, values('x'), MARGIN.left, RIGHT, false);
  const y = mapping(plot.y, values('y'), BOTTOM, MARGIN.top, true);
  const named = [...(plot.kind === 'lines' ? plot.series : []), ...(plot.guides ?? [])];
  const ends = named.map(({ points: own }) => y.to(own[own.length - 1].y));
  const labels = spread(ends, LINE, BOTTOM);
  const guides = (plot.guides ?? []).map((guide, i, { length }) => {
    const path = guide.points.map((p) => `${px(x.to(p.x))},${px(y.to(p.y))}`).join(' ');
    return `<polyline class="guide" points="${path}"/>${text(RIGHT + 6, labels[named.length - length + i] + 4, guide.name, 'class="tick"')}`;
  });
  const data = plot.kind === 'lines' ? lines(plot, x, y, labels) : scatter(plot, x, y);
  return [axes(plot, x, y), ...guides, data].join('\n');
}
