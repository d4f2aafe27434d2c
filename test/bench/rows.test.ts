/** The keys of the rows that scripts rely on (docs/spec.md#benchmarks), from the smallest run of each benchmark. */
import test from 'tape';
import type { BenchDocument, BenchRow } from '../../src/cli/bench.ts';
import { spanwise } from '../cli/run.ts';

/** The document of `spanwise bench …args --json`, checked for what every document has. */
async function documentOf(t: test.Test, ...args: string[]): Promise<BenchDocument> {
  const { stdout, stderr } = await spanwise(['bench', ...args, '--json']);
  const document = JSON.parse(stdout || 'null') as BenchDocument | null;
  if (!document) throw new Error(stderr);
  expectKeys(t, document, 'device commit date versions rows', args[0]);
  expectKeys(t, document.device, 'name driver software features', 'device');
  return document;
}

function expectKeys(t: test.Test, of: object, keys: string, what: string): void {
  const missing = keys.split(' ').filter((key) => !Object.hasOwn(of, key));
  t.deepEqual(missing, [], `${what}: nothing is missing`);
}

test('rows of bench table6', async (t) => {
  const config = 'test/fixtures/cerem/per-scale/config.json';
  const { rows, extra } = await documentOf(t, 'table6', '--config', config, '--tokens', '16');
  t.deepEqual(
    rows.map(({ sia, branches }) => [sia, branches]),
    [
      [false, false],
      [false, true],
      [true, false],
      [true, true],
    ],
    'in the order of the paper',
  );
  for (const row of rows)
    expectKeys(t, row, 'params macs macsAll flops weightBytes peakBytes ms', String(row.name));
  t.ok(
    rows.every(({ macsAll, flops }) => Number(flops) > 2 * Number(macsAll)),
    'operations beside multiply-adds',
  );
  t.equal((extra as readonly BenchRow[]).length, 2, 'shared projections');
});

test('rows of bench sia', async (t) => {
  const { rows } = await documentOf(t, 'sia', '--tokens', '7');
  const keys =
    'heads headSize scales selfMs bestSelfMs siaMs naiveMs ratioToSelf ratioToNaive flops macs bytes ' +
    'scratchBytes naiveScratchBytes';
  for (const row of rows) expectKeys(t, row, keys, String(row.pass));
  t.deepEqual(
    rows.map(({ L, pass }) => [L, pass]),
    [
      [7, 'forward'],
      [7, 'backward'],
    ],
  );
});

test('rows of bench peers', async (t) => {
  // gpu.js has no softmax, and needs no installation.
  const { rows } = await documentOf(t, 'peers', '--peers', 'gpu.js', '--cases', 'softmax');
  t.deepEqual(
    rows.map((row) => [row.case, row.peer, row.ratioToOurs]),
    [['softmax', 'spanwise', 1]],
  );
  expectKeys(t, rows[0], 'version runsOn ms relativeError', 'softmax');
});

test('rows of bench host', async (t) => {
  const { rows } = await documentOf(t, 'host', '--cases', 'stsn-fixed-forward,stsn-fixed-train');
  const keys = 'case dispatches bindGroupsMade submits hostMs floorMs ratio jsHeapPerStep';
  for (const row of rows) expectKeys(t, row, keys, String(row.case));
  const [forward, train] = rows;
  t.ok(Number(train.dispatches) > Number(forward.dispatches), 'a backward and an optimizer more');
  t.deepEqual([forward.submits, train.submits], [1, 1]);
  t.ok(rows.every(({ jsHeapPerStep }) => Number(jsHeapPerStep) > 0));
});

test('rows of bench kernels', async (t) => {
  const { rows } = await documentOf(t, 'kernels', '--only', 'softmax');
  for (const row of rows) expectKeys(t, row, 'kernel variant shape ms gflops gbps percentOfPeak', 'softmax');
  t.ok(rows.length >= 2, 'forward and backward');
});

test('rows of bench context-attention', async (t) => {
  const { rows } = await documentOf(t, 'context-attention', '--tokens', '3');
  for (const row of rows)
    expectKeys(t, row, 'D heads ms naiveMs ratio scratchBytes naiveScratchBytes', String(row.pass));
  t.deepEqual(
    rows.map(({ pass, L, spans }) => [pass, L, spans]),
    [
      ['forward', 3, 6],
      ['backward', 3, 6],
    ],
  );
});
