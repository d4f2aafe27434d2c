/** Work by phase and label, whenever it is asked for. */
import test from 'tape';
import { Meter, noWork } from '../../src/gpu/meter.ts';

test('runs are counted once, before and after totals were asked for, of more plans than wait at most', (t) => {
  const meter = new Meter();
  const plans = Array.from({ length: 1500 }, (_, i) => ({
    labels: [{ label: `label ${i % 2}`, work: { ...noWork(), dispatches: 1, macs: i } }],
    runs: { forward: 0, backward: 0, optimizer: 0 },
    pending: false,
  }));
  const macs = (1500 * 1499) / 2;
  for (let round = 1; round < 4; round++) {
    for (const phase of ['forward', 'backward', 'forward', 'optimizer'] as const) {
      meter.phase = phase;
      for (const plan of plans) meter.record(plan);
    }
    t.deepEqual(
      (['forward', 'backward', 'optimizer'] as const).map((phase) => meter.total(phase).dispatches),
      [3000 * round, 1500 * round, 1500 * round],
    );
    t.equal(meter.total().macs, 4 * macs * round);
    t.equal(meter.rows().length, 6);
  }
  meter.record(plans[0]);
  meter.reset();
  t.equal(meter.total().dispatches, 0);
  meter.record(plans[0]);
  t.equal(meter.total().dispatches, 1);
  t.end();
});
