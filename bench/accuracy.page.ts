/** The tables of docs/accuracy.md: made of the document of `bench accuracy`. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../kernels/errors.ts';
import type { BenchDocument, BenchRow } from '../src/cli/bench.ts';
import { packageRoot } from '../src/cli/package-root.ts';
import { writeFileAtomic } from '../src/io/files.ts';

const FROM = '<!-- accuracy: made by `npm run accuracy` from bench/results/accuracy.json -->\n';
const TO = '<!-- /accuracy -->';

interface About {
  version: string;
  webgpu: string;
  driver: string;
  bound: string;
}
const aboutOf = (row: BenchRow): About => row.about as About;

const digits = (value: unknown): string =>
  value === undefined
    ? ''
    : typeof value !== 'number'
      ? 'not a number'
      : value === 0
        ? '0'
        : value.toExponential(1);

const line = (cells: readonly unknown[]): string => `| ${cells.map(String).join(' | ')} |\n`;
const markdown = (head: readonly string[], rows: readonly (readonly unknown[])[]): string =>
  line(head) + line(head.map(() => '---')) + rows.map(line).join('');

/** Which devices, what each makes of every kernel, and where the bounds come from; Markdown. */
export function accuracyTables({ rows }: BenchDocument): string {
  const devices = [...new Set(rows.map(({ device }) => String(device)))];
  const kernels = [...new Set(rows.map(({ kernel }) => String(kernel)))];
  const of = (device: string, kernel: string) =>
    rows.find((row) => row.device === device && row.kernel === kernel);
  const measured = (row: BenchRow | undefined): string =>
    row
      ? `${digits(row.forward)}, ${digits(row.backward) || 'none'} (${Number(row.ulps ?? NaN).toFixed(1)})${row.ok === true ? '' : ' WRONG'}`
      : '';
  const letter = (device: string): string => String.fromCharCode(65 + devices.indexOf(device));
  return [
    markdown(
      ['', 'engine and adapter', 'version', 'WebGPU', 'driver', 'kernels that agree', 'farthest, ULP'],
      devices.map((device) => {
        const own = rows.filter((row) => row.device === device);
        const { version, webgpu, driver } = aboutOf(own[0]);
        const agreeing = own.filter(({ ok }) => ok === true).length;
        const farthest = Math.max(...own.map(({ ulps }) => Number(ulps ?? NaN)));
        return [
          letter(device),
          device,
          version,
          webgpu,
          driver,
          `${agreeing} of ${own.length}`,
          farthest.toFixed(1),
        ];
      }),
    ),
    markdown(
      ['kernel', 'bound forward', 'bound backward', ...devices.map(letter)],
      kernels.map((kernel) => {
        const row = of(devices[0], kernel)!;
        return [
          `\`${kernel}\``,
          ...[digits(row.forwardBound), digits(row.backwardBound)],
          ...devices.map((device) => measured(of(device, kernel))),
        ];
      }),
    ),
    markdown(
      ['kernel', 'where its bound comes from'],
      kernels.map((kernel) => [`\`${kernel}\``, aboutOf(of(devices[0], kernel)!).bound]),
    ),
  ].join('\n');
}

/** A page, with what stands between its marks. Errors: InputError where they are not there. */
export function accuracyBlock(page: string): { before: string; tables: string; after: string } {
  const [from, to] = [page.indexOf(FROM) + FROM.length, page.indexOf(TO)];
  if (from < FROM.length || to < from)
    throw new InputError('docs/accuracy.md: the marks of the tables are not there');
  return { before: page.slice(0, from), tables: page.slice(from, to), after: page.slice(to) };
}

/** Takes a document's tables over into docs/accuracy.md. */
export function updateAccuracyPage(document: BenchDocument): void {
  const path = join(packageRoot(), 'docs', 'accuracy.md');
  const { before, after } = accuracyBlock(readFileSync(path, 'utf8'));
  writeFileAtomic(path, `${before}\n${accuracyTables(document)}\n${after}`);
}
