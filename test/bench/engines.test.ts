/** The suite over engines: Node and Deno, on a part of it; `npm run engines` runs all of it in all. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'tape';
import { agreementOf, disagreements } from '../../bench/engines/agreement.ts';
import { buildSuite } from '../../bench/engines/build.ts';
import { engines, type Ran } from '../../bench/engines/engines.ts';

const folder = mkdtempSync(join(tmpdir(), 'spanwise-engines-'));
test.onFinish(() => rmSync(folder, { recursive: true, force: true }));
const suite = join(folder, 'suite.js');
const asked = {
  kernels: ['layer-norm', 'linear', 'segment-attention', 'softmax', 'span-score', 'weighted-sum'],
  steps: 3,
  texts: ['Lena Falk of the Corvin Institute measured the depth with an echo sounder.'],
};
let node: Ran;

test('the suite is one module', async (t) => {
  await buildSuite(suite);
  t.pass();
});

for (const { name, driver, missing, run } of engines().filter(({ driver }) => driver === 'software device'))
  test(`${name} on the ${driver}`, { skip: missing && `${name}: ${missing}` }, async (t) => {
    const ran = await run(suite, asked);
    node ??= ran;
    const { answer } = ran;
    t.match(`${name} ${ran.version}, ${ran.webgpu}`, /^\w+ \d+(\.\d+)+, (Dawn|wgpu)/);
    t.match(`${answer.device.name} ${answer.device.vendor}`, /^swiftshader.* google$/i);
    const agreement = agreementOf(answer, node.answer);
    t.deepEqual(disagreements(agreement, node.answer), []);
    t.deepEqual(
      answer.kernels.map(({ kernel }) => kernel),
      asked.kernels,
    );
    t.equal(new Set(answer.losses).size, asked.steps, `losses ${answer.losses.join(', ')}`);
    t.ok(agreement.entities >= 3 && agreement.relations >= 2);
  });
