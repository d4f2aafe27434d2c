import test from 'tape';
import { defaultCaps } from '../../../kernels/plan.ts';
import { chooseRows } from '../../../kernels/shared/row-reduction.ts';

test('reductions over rows: the variant follows from width and device', (t) => {
  const gpu = defaultCaps;
  const software = { ...defaultCaps, software: true };
  t.deepEqual(chooseRows(16, gpu), { ROW_PER_LANE: 1, WG: 64, FAN: 1, VEC: 1 });
  t.deepEqual(chooseRows(17, gpu), { ROW_PER_LANE: 0, WG: 64, FAN: 8, VEC: 0 });
  t.deepEqual(chooseRows(1024, gpu), { ROW_PER_LANE: 0, WG: 64, FAN: 8, VEC: 1 });
  t.deepEqual(chooseRows(1024, gpu, false), { ROW_PER_LANE: 0, WG: 256, FAN: 16, VEC: 0 });
  t.deepEqual(chooseRows(4096, gpu), { ROW_PER_LANE: 0, WG: 256, FAN: 16, VEC: 1 });
  t.deepEqual(chooseRows(4096, software), { ROW_PER_LANE: 1, WG: 16, FAN: 1, VEC: 1 });
  t.end();
});
