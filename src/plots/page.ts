/** What pages with plots and tables share: one file that needs nothing else, in the reader's light or dark mode. */
import { escapeHtml, lightPalette, plotStyle, type Palette } from './plot.ts';

/** The same hues as `lightPalette`, lighter. */
const darkPalette: Palette = {
  paper: '#15171a',
  ink: '#e8e8e8',
  soft: '#a3a8ae',
  rule: '#32363b',
  series: ['#56b4e9', '#f0903c', '#2fc39b', '#d7a0c8', '#d8c25a'],
};

const variables = ({ series, ...colours }: Palette): string =>
  [...Object.entries(colours), ...series.map((colour, i) => [`s${i}`, colour])]
    .map(([name, colour]) => `--${name}: ${colour};`)
    .join(' ');

/** The palette by name: a reader's light or dark mode chooses. */
const named: Palette = {
  ...{ paper: 'var(--paper)', ink: 'var(--ink)', soft: 'var(--soft)', rule: 'var(--rule)' },
  series: lightPalette.series.map((_, i) => `var(--s${i})`),
};

/** The CSS of a page: colours by name, text, tables, plots. */
export const pageStyle = `
:root { color-scheme: light dark; ${variables(lightPalette)} }
@media (prefers-color-scheme: dark) { :root { ${variables(darkPalette)} } }
body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin: 0 0 .2rem; } h3 { font-size: 1rem; margin: 0; }
p { margin: .2rem 0; color: var(--soft); }
${plotStyle(named)}summary { cursor: pointer; color: var(--soft); }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
td, th { padding: .15rem .7rem .15rem 0; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--rule); }
td:first-child, th:first-child { text-align: left; }
`;

const row = (cells: readonly string[], tag: 'td' | 'th'): string =>
  `<tr>${cells.map((cell) => `<${tag}>${escapeHtml(cell)}</${tag}>`).join('')}</tr>`;

/** A table of texts, its heads first. */
export const tableHtml = ([head, ...body]: readonly (readonly string[])[]): string =>
  `<table><thead>${row(head, 'th')}</thead><tbody>${body.map((cells) => row(cells, 'td')).join('\n')}</tbody></table>`;
