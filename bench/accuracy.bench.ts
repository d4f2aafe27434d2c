/** `bench accuracy`: every kernel against float64 in every engine and on every driver there is, beside its error bound. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { kernels } from '../kernels/index.ts';
import { updateAccuracyPage } from './accuracy.page.ts';
import { buildSuite } from './engines/build.ts';
import type { Engine, Ran } from './engines/engine.ts';
import { engines } from './engines/engines.ts';
import { makeDocument, ownOptions } from './harness.ts';
import type { Bench, BenchRow } from './harness.ts';

/** What a device computed, a row for each kernel. */
function rowsOf({ name }: Engine, { version, webgpu, answer }: Ran): BenchRow[] {
  const { name: adapter, driver } = answer.device;
  return answer.kernels.map(({ worst, ...result }) => ({
    ...{ device: `${name}, ${adapter}`, kernel: result.kernel },
    ...{ forward: result.forward, forwardBound: result.forwardBound },
    ...{ backward: result.backward, backwardBound: result.backwardBound },
    ...{ ulps: worst?.ulps, element: worst && `${worst.tensor}[${worst.index.join(', ')}]`, ok: result.ok },
    // What the table has no room for.
    about: { version, webgpu, driver, bound: result.bound, worst },
  }));
}

export const accuracyBench: Bench = {
  doc: 'every kernel against float64 in each engine and on each driver, beside what rounding may make of it',
  async run({ args, log }) {
    const own = ownOptions('accuracy', args, { update: { doc: '' } });
    const folder = mkdtempSync(join(tmpdir(), 'spanwise-accuracy-'));
    const suite = join(folder, 'suite.js');
    const rows: BenchRow[] = [];
    const notRun: Record<string, string> = {};
    let first: Ran | undefined;
    try {
      await buildSuite(suite);
      for (const engine of engines()) {
        const what = `${engine.name} on the ${engine.driver}`;
        if (engine.missing !== undefined) {
          notRun[what] = engine.missing;
          continue;
        }
        log(what);
        try {
          const ran = await engine.run(suite, { kernels: Object.keys(kernels), steps: 0, texts: [] });
          first ??= ran;
          rows.push(...rowsOf(engine, ran));
        } catch (error) {
          if (!first) throw error;
          notRun[what] = (error as Error).message;
        }
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
    if (!first) throw new Error(`bench accuracy: ${Object.values(notRun).join('; ')}`);
    const checks = [...new Set(rows.map(({ device }) => device))].map((device) => {
      const wrong = rows.filter((row) => row.device === device && row.ok !== true);
      return {
        claim: `every kernel is within tolerance and bound in ${String(device)}`,
        holds: wrong.length === 0,
        measured: wrong.map(({ kernel }) => kernel).join(', ') || 'all',
      };
    });
    const document = makeDocument('accuracy', { info: first.answer.device }, rows, checks, { notRun });
    if (own.flag('update')) updateAccuracyPage(document);
    return document;
  },
};
