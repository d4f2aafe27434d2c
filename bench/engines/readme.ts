/** The README's table of what Spanwise runs in: made of the document of `bench engines`. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../../kernels/errors.ts';
import type { BenchDocument, BenchRow } from '../../src/cli/bench.ts';
import { packageRoot } from '../../src/cli/package-root.ts';
import { writeFileAtomic } from '../../src/io/files.ts';

const FROM = '<!-- engines: made by `npm run engines` from bench/results/engines.json -->\n';
const TO = '<!-- /engines -->';

const exponential = (value: unknown): string =>
  typeof value !== 'number' ? 'not a number' : value === 0 ? '0' : value.toExponential(1);

function line(row: BenchRow): string {
  const { engine, version, webgpu, adapter, adapterDriver: driver } = row;
  const { kernels, agreeing, kernelError, lossError, steps } = row;
  const found = `${String(row.entities)} entities, ${String(row.relations)} relations`;
  const cells = [
    `${String(engine)} ${String(version)}`,
    webgpu,
    `${String(adapter)}${driver ? ` (${String(driver)})` : ''}`,
    `${String(agreeing)} of ${String(kernels)}, ${exponential(kernelError)}`,
    `${String(steps)}, ${exponential(lossError)}`,
    row.sameExtractions === true ? `the same ${found}` : `others: ${found}`,
  ];
  return `| ${cells.map(String).join(' | ')} |\n`;
}

/** The table in Markdown: the engines that ran. */
export const engineTable = ({ rows }: BenchDocument): string =>
  '| runs in | WebGPU | adapter | kernels that agree, largest error | training steps, largest difference | extraction |\n' +
  `| --- | --- | --- | --- | --- | --- |\n${rows
    .filter(({ version }) => version !== undefined)
    .map(line)
    .join('')}`;

/** The block of a page between its two marks. Errors: InputError where they are not there. */
export function engineBlock(page: string): { before: string; table: string; after: string } {
  const [from, to] = [page.indexOf(FROM) + FROM.length, page.indexOf(TO)];
  if (from < FROM.length || to < from)
    throw new InputError('README.md: the marks of the table of engines are not there');
  return { before: page.slice(0, from), table: page.slice(from, to), after: page.slice(to) };
}

/** Takes a document's table over into the README. */
export function updateReadme(document: BenchDocument): void {
  const path = join(packageRoot(), 'README.md');
  const { before, after } = engineBlock(readFileSync(path, 'utf8'));
  writeFileAtomic(path, `${before}${engineTable(document)}${after}`);
}
