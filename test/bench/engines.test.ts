/** The suite over engines: Node and Deno on a part of it; `npm run engines` runs all of it in all. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'tape';
import { agreementOf, disagreements, type Agreement } from '../../bench/engines/agreement.ts';
import { buildSuite } from '../../bench/engines/build.ts';
import type { Ran } from '../../bench/engines/engine.ts';
import { engines } from '../../bench/engines/engines.ts';
import { engineBlock, engineTable } from '../../bench/engines/readme.ts';
import type { Answer } from '../../bench/engines/suite.ts';
import { InputError } from '../../kernels/errors.ts';
import { kernels } from '../../kernels/index.ts';
import type { BenchDocument } from '../../src/cli/bench.ts';

const folder = mkdtempSync(join(tmpdir(), 'spanwise-engines-'));
test.onFinish(() => rmSync(folder, { recursive: true, force: true }));
const suite = join(folder, 'suite.js');
const asked = {
  kernels: ['cross-entropy', 'embedding', 'layer-norm', 'softmax', 'span-score', 'weighted-sum'],
  steps: 3,
  texts: ['Lena Falk of the Corvin Institute measured the depth with an echo sounder.'],
};
let node: Ran | undefined;

test('the suite is one module that imports nothing', async (t) => {
  await buildSuite(suite);
  t.notOk(/^import\b|\bfrom ["']node:/m.test(readFileSync(suite, 'utf8')));
});

for (const { name, driver, missing, run } of engines().filter(
  ({ name, driver }) => driver === 'software device' && ['Node', 'Deno'].includes(name),
))
  test(`${name} on the ${driver}`, { skip: missing && `${name}: ${missing}` }, async (t) => {
    const ran = await run(suite, asked);
    node ??= ran;
    const { answer, version, webgpu } = ran;
    t.match(`${name} ${version}, ${webgpu}`, /^(Node \d+\.\d+\.\d+, Dawn|Deno \d+\.\d+\.\d+, wgpu)/);
    t.match(`${answer.device.name} ${answer.device.vendor}`, /^swiftshader.* google$/i);
    const agreement = agreementOf(answer, node.answer);
    t.deepEqual(disagreements(agreement, asked), [], JSON.stringify(agreement));
    t.deepEqual(
      answer.kernels.map(({ kernel }) => kernel),
      asked.kernels,
    );
    t.equal(new Set(answer.losses).size, asked.steps, `losses ${answer.losses.join(', ')}`);
    t.ok(agreement.entities >= 3 && agreement.relations >= 2);
  });

test('an engine that fails says why', async (t) => {
  const [engine] = engines();
  const failed = await engine.run(join(folder, 'none.js'), asked).catch((error: Error) => error.message);
  t.match(String(failed), /^Error .*none\.js/);
});

/** An answer with one kernel, one step and one entity. */
function answerOf(error: number, ok: boolean, loss: number, start: number, score: number): Answer {
  const entity = { type: 'Person', text: 'Ada', start, end: 3, score };
  return {
    device: { name: '', vendor: '', architecture: '', driver: '', software: true, features: [] },
    kernels: [{ kernel: 'softmax', cases: 1, forward: error, ok }],
    losses: [loss],
    extractions: [{ text: 'Ada', entities: [entity], relations: [] }],
    seconds: 1,
  };
}

test('what does not agree is said', (t) => {
  const expected = answerOf(1e-7, true, 2, 0, 0.5);
  const wrong = (answer: Answer, steps = 1): string[] =>
    disagreements(agreementOf(answer, expected), { kernels: ['softmax'], steps });
  t.deepEqual(wrong(answerOf(2e-7, true, 2.00001, 0, 0.5001)), []);
  t.deepEqual(wrong(answerOf(1e-3, false, 2, 0, 0.5)), ['0 of 1 kernels']);
  t.deepEqual(wrong(answerOf(1e-7, true, 2.0001, 0, 0.5)), ['losses differ by 5.0e-5']);
  t.deepEqual(wrong({ ...expected, losses: [] }), ['0 of 1 steps']);
  t.deepEqual(wrong({ ...expected, losses: [NaN] }), ['losses differ by NaN']);
  t.deepEqual(wrong(answerOf(1e-7, true, 2, 1, 0.5)), ['extractions differ']);
  t.deepEqual(wrong(answerOf(1e-7, true, 2, 0, 0.5002)), ['scores differ by 2.0e-4']);
  t.deepEqual(wrong({ ...expected, extractions: [] }), ['extractions differ']);
  t.end();
});

test("the README's table is that of the committed document", (t) => {
  const document = JSON.parse(readFileSync('bench/results/engines.json', 'utf8')) as BenchDocument;
  const { table } = engineBlock(readFileSync('README.md', 'utf8'));
  t.equal(table, engineTable(document));
  const ran = document.rows.filter(({ version }) => version !== undefined);
  t.deepEqual([...new Set(ran.map(({ engine }) => engine))], ['Node', 'Deno', 'Bun', 'Chromium']);
  const whole = { kernels: Object.keys(kernels), steps: 20 };
  for (const row of ran)
    t.deepEqual(
      disagreements(row as unknown as Agreement, whole),
      [],
      `${String(row.engine)}, ${String(row.adapter)}`,
    );
  t.notOk(/undefined|NaN|not a number|\b\d{4,}\b *\|/.test(table), 'every name is one');
  t.throws(() => engineBlock('# Spanwise'), InputError, 'a page without the marks');
  t.end();
});
