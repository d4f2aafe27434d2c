/** Steps that repeat: what is kept from one to the next, and that each computes what it was given. */
import test from 'tape';
import { scale as scaleKernel } from '../../kernels/shared/elementwise.ts';
import type { Kernel } from '../../kernels/plan.ts';
import {
  dropout,
  embedding,
  hostInts,
  mul,
  openRuntime,
  record,
  scale,
  sum,
  type Runtime,
  type Tensor,
} from '../../src/node.ts';

const runtime = await openRuntime({ defaultLimits: true });
test.onFinish(() => runtime.close());

const SIZE = 40;
const upload = (values: readonly number[], on: Runtime = runtime): Tensor =>
  on.upload(Float32Array.from(values), [values.length]);
const ones = (): Tensor => upload(Array<number>(SIZE).fill(1));

/** Which elements a dropout of one half leaves, as text; computed once for an offset, before anything repeats. */
async function maskOf(offset: number): Promise<string> {
  return runtime.scope(async () => shown(await dropout(ones(), 0.5, 7, offset).read()));
}
const shown = (values: Float32Array): string => values.map((v) => Number(v !== 0)).join('');

const OFFSETS = [1, 2, 3, 4, 5, 6];
const masks: string[] = [];

test('masks of different offsets differ', async (t) => {
  for (const offset of OFFSETS) {
    masks[offset] = await maskOf(offset);
    await runtime.scope(() => scale(ones(), offset)); // another operation in between
  }
  t.equal(new Set(OFFSETS.map((offset) => masks[offset])).size, OFFSETS.length);
});

test('a step that repeats makes no bind group, and has its own values, tables and counters', async (t) => {
  const table = runtime.upload(
    Float32Array.from({ length: 64 }, (_, i) => i),
    [64, 1],
  );
  const made: number[] = [];
  for (const offset of OFFSETS) {
    const before = runtime.meter.bindGroups;
    await runtime.scope(async () => {
      const x = upload(Array<number>(SIZE).fill(offset));
      const rows = hostInts(Int32Array.from({ length: SIZE }, (_, i) => (i * offset) % 64));
      const dropped = dropout(x, 0.5, 7, offset);
      const product = mul(x, embedding(rows, table).view([SIZE]));
      const [mask, values] = await runtime.readAll([dropped, product]);
      t.equal(shown(mask as Float32Array), masks[offset]);
      t.deepEqual(
        [...values],
        [...rows.data].map((row) => row * offset),
      );
    });
    made.push(runtime.meter.bindGroups - before);
  }
  t.deepEqual(
    made.slice(2),
    made.slice(2).map(() => 0),
  );
  table.release();
});

test('the same operation with other counters twice in a batch', async (t) => {
  for (const [first, second] of [
    [1, 2],
    [3, 4],
    [6, 5],
  ])
    await runtime.scope(async () => {
      const x = ones();
      const both = [dropout(x, 0.5, 7, first), dropout(x, 0.5, 7, second)];
      const values = (await runtime.readAll(both)) as Float32Array[];
      t.deepEqual(values.map(shown), [masks[first], masks[second]]);
    });
});

test('a backward has the counter of its own forward, whatever ran since', async (t) => {
  const x = runtime.keep(ones());
  x.requiresGrad = true;
  await runtime.scope(async () => {
    const forward = (offset: number) => record(runtime, () => sum(dropout(x, 0.5, 7, offset)));
    const tapes = [];
    for (const offset of [1, 2, 3]) {
      tapes.push(await forward(offset));
      await runtime.finish();
    }
    for (const [i, { result, tape }] of tapes.entries()) {
      tape.backward(result);
      t.equal(shown((await x.grad?.read()) ?? new Float32Array()), masks[i + 1]);
      x.grad?.release();
      x.grad = undefined;
    }
  });
  x.release();
});

test('a step that repeats after a longer one, whose uniforms lie in another buffer', async (t) => {
  const x = runtime.keep(ones());
  const step = (more: number): Promise<number> =>
    runtime.scope(async () => {
      const y = scale(scale(x, 2), 3);
      for (let i = 0; i < more; i++) scale(x, 5 + i);
      return (await y.read())[0];
    });
  const found: number[] = [];
  for (const more of [0, 0, 400, 0, 1]) found.push(await step(more));
  await runtime.finish(); // errors of the device, if there were any
  t.deepEqual(found, [6, 6, 6, 6, 6]);
  x.release();
});

test('a batch that waits keeps its counters while the next one is recorded', async (t) => {
  await runtime.scope(async () => {
    const x = ones();
    await runtime.scope(() => dropout(x, 0.5, 7, 3).read());
    const first = dropout(x, 0.5, 7, 1);
    const flushed = runtime.flush();
    const second = dropout(x, 0.5, 7, 2);
    const values = (await runtime.readAll([first, second])) as Float32Array[];
    await flushed;
    t.deepEqual(values.map(shown), [masks[1], masks[2]]);
  });
});

test('the same operation in the same place, its table elsewhere', async (t) => {
  const rows = runtime.upload(
    Float32Array.from({ length: 64 }, (_, i) => i),
    [64, 1],
  );
  const each = Int32Array.from({ length: SIZE }, (_, i) => i);
  const [ids, others] = [hostInts(each), hostInts(new Int32Array(SIZE).fill(7))];
  const x = runtime.keep(ones());
  for (const before of [true, false, true])
    await runtime.scope(async () => {
      if (before) embedding(others, rows);
      else scale(x, 2);
      const found = embedding(ids, rows);
      if (!before) embedding(others, rows);
      t.deepEqual([...(await found.read())], [...each], `other table ${before ? 'before' : 'behind'} it`);
    });
  for (const tensor of [rows, x]) tensor.release();
});

test('the same operation in the same place, on another part of a tensor', async (t) => {
  const x = runtime.upload(
    Float32Array.from({ length: 192 }, (_, i) => i),
    [192],
  );
  for (const from of [0, 64, 128, 64])
    await runtime.scope(async () => {
      t.equal((await scale(x.slice(from, [64]), 1.5).read())[1], 1.5 * (from + 1), `from ${from}`);
    });
  x.release();
});

test("a plan of the caller's, with other uniforms than in the last batch", async (t) => {
  const x = runtime.keep(ones());
  const planOf = (factor: number) =>
    scaleKernel.plan({ shapes: { x: [SIZE] }, params: { factor }, caps: runtime.caps, host: {} });
  const plan = planOf(2);
  const found: number[] = [];
  for (const factor of [2, 3]) {
    plan.dispatches[0].uniforms = planOf(factor).dispatches[0].uniforms;
    await runtime.scope(async () => found.push((await runtime.run(plan, { x }).out.read())[0]));
  }
  t.deepEqual(found, [2, 3]);
  x.release();
});

/** Scales by `factor`, behind a dispatch without work; its plans are renewed. */
const renewable: Kernel = {
  ...scaleKernel,
  name: 'renewable',
  params: [{ name: 'factor', doc: '', live: true }],
  plan(request) {
    const plan = scaleKernel.plan(request);
    const [dispatch] = plan.dispatches;
    return { ...plan, dispatches: [{ ...dispatch, workgroups: [0, 1, 1], uniforms: [] }, dispatch] };
  },
  renew(plan, _, { factor }) {
    const dispatches = plan.dispatches.map((dispatch) => {
      const uniforms = dispatch.uniforms.map((one) =>
        typeof one === 'number' ? one : { f32: factor as number },
      );
      return { ...dispatch, uniforms };
    });
    return { ...plan, dispatches };
  },
};

test('plans that are renewed, one of their dispatches without work', async (t) => {
  const x = runtime.keep(ones());
  const found: number[] = [];
  for (const factor of [2, 3, 4]) {
    await runtime.scope(async () => {
      const { out } = runtime.kernel(renewable, { x }, { params: { factor } });
      found.push((await out.read())[0]);
    });
  }
  t.deepEqual(found, [2, 3, 4]);
  await runtime.scope(async () => {
    const outputs: Tensor[] = [];
    for (const factor of [5, 6, 7]) {
      outputs.push(runtime.kernel(renewable, { x }, { params: { factor } }).out);
      runtime.flush().catch(t.error);
    }
    const values = await runtime.readAll(outputs);
    t.deepEqual(
      values.map(([value]) => value),
      [5, 6, 7],
      'those of batches that wait are not',
    );
  });
  x.release();
});
