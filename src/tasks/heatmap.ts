/** Token-to-token weights as an SVG of heatmaps. */
import { isWide } from './text/width.ts';

export interface Heatmap {
  title: string;
  /** A line below the title. */
  figures: string;
  /** [L, L], query by key. */
  weights: Float64Array;
}

/** Pixels of a cell at most, and of a whole panel where there are many tokens. */
const CELL = 18;
const PANEL = 720;
/** The smallest cell that a token's name fits beside. */
const LABELLED_CELL = 7;
/** Characters of a name that are shown. */
const LABEL_CHARACTERS = 12;
const GAP = 24;
const TITLE = 42;
const TITLE_SIZE = 14;
const LEGEND = 64;
/** Pixels of a line above the panels, and of its letters. */
const ABOUT_LINE = 20;
const ABOUT_SIZE = 13;

/** Steps of colour, from white to the darkest; the square root of a weight decides, so that weak ones can be seen. */
const SHADES = 32;
const DARKEST = [8, 48, 107];

const shade = (step: number): string =>
  `rgb(${DARKEST.map((dark) => Math.round(255 + ((dark - 255) * step) / SHADES)).join(',')})`;

/** Text as XML; characters that XML has not become U+FFFD. */
const escape = (text: string): string =>
  text
    .replace(/[^\x20-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, '\uFFFD')
    .replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

/** A name short enough for the margin. */
function label(token: string): string {
  const characters = [...token];
  return characters.length > LABEL_CHARACTERS
    ? `${characters.slice(0, LABEL_CHARACTERS - 1).join('')}…`
    : token;
}

/** About how wide a name is set, in ems. */
const widthOf = (name: string): number => [...name].reduce((sum, c) => sum + (isWide(c) ? 1 : 0.7), 0);

/** A line cut to a width in pixels. */
function shortened(line: string, pixels: number): string {
  let [kept, used] = ['', 0];
  for (const c of line) {
    used += ABOUT_SIZE * widthOf(c);
    if (used > pixels) return `${kept}…`;
    kept += c;
  }
  return kept;
}

/** The cells of one panel: a path for each shade, neighbours of one shade in one run. */
function cells(weights: Float64Array, tokens: number, largest: number): string {
  const paths = Array.from({ length: SHADES + 1 }, (): string[] => []);
  const stepOf = (i: number, j: number) =>
    Math.round(SHADES * Math.sqrt(weights[i * tokens + j] / largest)) || 0;
  for (let i = 0; i < tokens; i++)
    for (let j = 0; j < tokens;) {
      const step = stepOf(i, j);
      const first = j;
      while (j < tokens && stepOf(i, j) === step) j++;
      paths[step].push(`M${first} ${i}h${j - first}v1h${first - j}z`);
    }
  return paths
    .map((path, step) =>
      step > 0 && path.length > 0 ? `<path fill="${shade(step)}" d="${path.join('')}"/>` : '',
    )
    .join('');
}

/**
 * Draws rows of panels: queries downwards, keys to the right, all in one colour scale.
 * @param tokens names of the L queries and keys
 * @param legend what the weights are
 * @param about lines above all: what is drawn, of which text
 */
export function heatmapsSvg(
  tokens: readonly string[],
  rows: readonly (readonly Heatmap[])[],
  legend: string,
  about: readonly string[] = [],
): string {
  const L = tokens.length;
  const largest = rows
    .flat()
    .reduce((most, { weights }) => weights.reduce((max, weight) => Math.max(max, weight), most), 0);
  const cell = Math.min(CELL, PANEL / L);
  const labelled = cell >= LABELLED_CELL;
  const font = 0.72 * cell;
  const labels = tokens.map(label);
  const longest = labels.reduce((most, name) => Math.max(most, widthOf(name)), 0);
  const margin = labelled ? Math.ceil(font * longest) + 8 : 4;
  // A panel is never narrower than its title.
  const titles = rows.flat().map(({ title }) => TITLE_SIZE * widthOf(title));
  const size = Math.max(L * cell, 300, ...titles);
  const head = about.length * ABOUT_LINE;
  const [stepX, stepY] = [margin + size + GAP, TITLE + margin + L * cell + GAP];

  const panel = ({ title, figures, weights }: Heatmap, column: number, row: number): string => {
    const [x, y] = [GAP + column * stepX + margin, head + GAP + row * stepY + TITLE + margin];
    const names = labels.flatMap((name, i) => {
      const middle = ((i + 0.5) * cell).toFixed(2);
      // A single character fits its column upright.
      const above =
        [...name].length === 1
          ? `x="${middle}" y="-4" text-anchor="middle"`
          : `transform="translate(${middle} -4) rotate(-90)" dy="0.35em"`;
      return [
        `<text x="-4" y="${middle}" text-anchor="end" dy="0.35em">${escape(name)}</text>`,
        `<text ${above}>${escape(name)}</text>`,
      ];
    });
    return [
      `<g transform="translate(${x} ${y})">`,
      `<text x="0" y="${-margin - 22}" font-size="${TITLE_SIZE}" font-weight="bold">${title}</text>`,
      `<text x="0" y="${-margin - 6}" font-size="12">${figures}</text>`,
      labelled ? `<g font-size="${font.toFixed(2)}">${names.join('')}</g>` : '',
      `<g transform="scale(${cell})" shape-rendering="crispEdges">${cells(weights, L, largest)}</g>`,
      `<rect width="${L * cell}" height="${L * cell}" fill="none" stroke="#999"/></g>`,
    ].join('\n');
  };

  const panels = rows.flatMap((maps, row) => maps.map((map, column) => panel(map, column, row)));
  const columns = Math.max(...rows.map((maps) => maps.length));
  const legendY = head + GAP + rows.length * stepY;
  const bar = Array.from(
    { length: SHADES + 1 },
    (_, step) => `<rect x="${step * 6}" width="6" height="12" fill="${shade(step)}"/>`,
  );
  const ticks = [0, 0.25, 1].map(
    (share) =>
      `<text x="${Math.sqrt(share) * SHADES * 6 + 3}" y="26" text-anchor="middle">${(share * largest).toFixed(3)}</text>`,
  );
  const [width, height] = [GAP + columns * stepX, legendY + LEGEND].map(Math.ceil);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" ` +
      `viewBox="0 0 ${width} ${height}" font-family="sans-serif" fill="#222">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    ...about.map(
      (line, i) =>
        `<text x="${GAP}" y="${GAP + i * ABOUT_LINE}" font-size="${ABOUT_SIZE}">${escape(shortened(line, width - 2 * GAP))}</text>`,
    ),
    ...panels,
    `<g transform="translate(${GAP + margin} ${legendY})" font-size="11">`,
    `<g shape-rendering="crispEdges">${bar.join('')}</g>`,
    `<rect width="${(SHADES + 1) * 6}" height="12" fill="none" stroke="#999"/>`,
    ...ticks,
    `<text x="${(SHADES + 1) * 6 + 24}" y="10">${legend}; row: query, column: key</text>`,
    `<text x="${(SHADES + 1) * 6 + 24}" y="26">colour: by the square root of the weight</text></g>`,
    '</svg>',
    '',
  ].join('\n');
}
