/** `bench soak-cycles`: a device is opened, computes and is closed, a thousand times in one process. */
import type { DeviceInfo } from '../src/gpu/device.ts';
import { openRuntime, scale, softmax } from '../src/node.ts';
import { makeDocument, ownOptions, type Bench } from './harness.ts';
import { flatProcess, processMemory, some, type ProcessMemory } from './process-memory.ts';

const CYCLES = 1000;
/** By this share of them what lives throughout is there: the driver, compiled JavaScript. */
const SETTLED = 0.1;
const SHOWN = 21;

interface Cycle extends ProcessMemory {
  cycle: number;
}

/** One cycle, with memory as it is while the device is open. Errors: a wrong result. */
async function cycleOnce(cycle: number): Promise<Cycle & { info: DeviceInfo }> {
  const runtime = await openRuntime();
  try {
    const computed = await scale(softmax(runtime.upload(new Float32Array([cycle, cycle]), [1, 2])), 2).read();
    if (computed.join() !== '1,1') throw new Error(`bench soak-cycles: wrong result ${computed.join()}`);
    return { cycle, ...processMemory(), info: runtime.info };
  } finally {
    runtime.close();
  }
}

export const soakCyclesBench: Bench = {
  doc: '1,000 times a device opened, used and closed in one process: memory and threads stay flat',
  async run({ args, log }) {
    const count = ownOptions('soak-cycles', args, { count: { value: 'N', doc: '' } }).integer(
      'count',
      CYCLES,
      10,
    );
    const started = performance.now();
    const cycles: Cycle[] = [];
    const { info } = await cycleOnce(0);
    for (let i = 1; i <= count; i++) {
      const { info: _, ...cycle } = await cycleOnce(i);
      cycles.push(cycle);
      log(`cycle ${i} of ${count}`);
    }
    const settled = cycles.slice(Math.floor(SETTLED * count));
    const from = `from cycle ${settled[0].cycle}`;
    return makeDocument(
      'soak-cycles',
      { info },
      some(cycles, SHOWN).map((cycle) => ({ ...cycle })),
      flatProcess(from, settled),
      { cycles: count, seconds: (performance.now() - started) / 1000 },
    );
  },
};
