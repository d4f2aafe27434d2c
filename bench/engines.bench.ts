/** `bench engines`: one suite in every engine that is installed; what each computes is compared with Node's. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { kernels } from '../kernels/index.ts';
import { agreementOf, disagreements } from './engines/agreement.ts';
import { buildSuite } from './engines/build.ts';
import type { Engine, Ran } from './engines/engine.ts';
import { engines } from './engines/engines.ts';
import { updateReadme } from './engines/readme.ts';
import type { Asked } from './engines/suite.ts';
import { makeDocument, ownOptions } from './harness.ts';
import type { Bench, BenchCheck, BenchRow } from './harness.ts';

/** All kernels, twenty steps, and texts of both languages of the checkpoint. */
const asked: Asked = {
  kernels: Object.keys(kernels),
  steps: 20,
  texts: [
    'Lena Falk of the Corvin Institute measured the depth with an echo sounder.',
    'The Harbour Museum in Tarnes lends a sextant to Oskar Thane, who works at the Orwin Institute.',
    '葡萄染上炭疽病，果面出现凹陷病斑，可喷咪鲜胺。',
  ],
};

/** What an engine computed, beside what is expected. */
function compared({ name, driver }: Engine, ran: Ran, expected: Ran): { row: BenchRow; check: BenchCheck } {
  const { device, seconds } = ran.answer;
  const agreement = agreementOf(ran.answer, expected.answer);
  const wrong = disagreements(agreement, asked);
  const right = `losses within ${agreement.lossError.toExponential(1)}`;
  return {
    row: {
      ...{ engine: name, driver, version: ran.version, webgpu: ran.webgpu },
      ...{
        adapter: device.name,
        vendor: device.vendor,
        adapterDriver: device.driver,
        software: device.software,
      },
      ...agreement,
      seconds,
    },
    check: {
      claim: `${name} on the ${driver} computes what Node does`,
      holds: wrong.length === 0,
      measured: wrong.join(', ') || right,
    },
  };
}

export const enginesBench: Bench = {
  doc: 'kernels, twenty training steps and extractions in Node, Deno, Bun and Chromium, beside Node’s numbers',
  async run({ args, log }) {
    const own = ownOptions('engines', args, { update: { doc: '' } });
    const folder = mkdtempSync(join(tmpdir(), 'spanwise-engines-'));
    const suite = join(folder, 'suite.js');
    const rows: BenchRow[] = [];
    const checks: BenchCheck[] = [];
    let expected: Ran | undefined;
    try {
      await buildSuite(suite);
      for (const engine of engines()) {
        const about = { engine: engine.name, driver: engine.driver };
        if (engine.missing !== undefined) {
          rows.push({ ...about, notRun: engine.missing });
          continue;
        }
        log(`${engine.name} on the ${engine.driver}`);
        try {
          const ran = await engine.run(suite, asked);
          expected ??= ran;
          const { row, check } = compared(engine, ran, expected);
          rows.push(row);
          checks.push(check);
        } catch (error) {
          if (!expected) throw error;
          const notRun = (error as Error).message;
          rows.push({ ...about, notRun });
          checks.push({
            claim: `${about.engine} on the ${about.driver} runs`,
            holds: false,
            measured: notRun,
          });
        }
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
    if (!expected) throw new Error(`bench engines: ${rows.map(({ notRun }) => notRun).join('; ')}`);
    const document = makeDocument('engines', { info: expected.answer.device }, rows, checks);
    if (own.flag('update')) updateReadme(document);
    return document;
  },
};
