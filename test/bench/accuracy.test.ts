/** docs/accuracy.md shows what its committed document says. */
import { readFileSync } from 'node:fs';
import test from 'tape';
import { accuracyBlock, accuracyTables } from '../../bench/accuracy.page.ts';
import type { BenchDocument } from '../../src/cli/bench.ts';
import { kernels } from '../../kernels/index.ts';
import { references } from '../../kernels/reference/index.ts';

const document = JSON.parse(readFileSync('bench/results/accuracy.json', 'utf8')) as BenchDocument;
const page = readFileSync('docs/accuracy.md', 'utf8');

test('the tables of docs/accuracy.md are those of bench/results/accuracy.json', (t) => {
  t.equal(accuracyBlock(page).tables, `\n${accuracyTables(document)}\n`);
  const verified = Object.keys(kernels).filter((name) => Object.hasOwn(references, name));
  const devices = new Set(document.rows.map(({ device }) => device));
  t.ok(devices.size >= 4, [...devices].join('; '));
  for (const device of devices)
    t.deepEqual(
      document.rows.filter((row) => row.device === device).map(({ kernel }) => kernel),
      verified,
      `${String(device)}: every kernel, once`,
    );
  t.ok(document.checks.every(({ holds }) => holds));
  t.end();
});

test('a table says what is wrong', (t) => {
  const about = { version: '1.0', webgpu: 'Dawn', driver: 'a driver', bound: 'one sum' };
  const row = (device: string, forward: number | null, ok: boolean) => ({
    ...{
      device,
      kernel: 'add',
      forward,
      forwardBound: 1.2e-7,
      backward: 0,
      backwardBound: 0,
      ulps: 0.5,
      ok,
      about,
    },
  });
  const tables = accuracyTables({ ...document, rows: [row('one', 1e-8, true), row('two', null, false)] });
  t.ok(tables.includes('| A | one | 1.0 | Dawn | a driver | 1 of 1 | 0.5 |'), tables);
  t.ok(tables.includes('| `add` | 1.2e-7 | 0 | 1.0e-8, 0 (0.5) | not a number, 0 (0.5) WRONG |'));
  t.ok(tables.includes('| `add` | one sum |'));
  t.throws(() => accuracyBlock('# Accuracy\n'), /docs\/accuracy\.md: the marks/);
  t.end();
});
