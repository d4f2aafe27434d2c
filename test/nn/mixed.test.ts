/** Parameters in mixed precision: f32 with f16 copies, which are computed with and whose gradients are the parameters'. */
import test from 'tape';
import { narrowToHalves, widenHalves } from '../../src/io/half.ts';
import {
  AdamW,
  add,
  clipGradNorm,
  Embedding,
  hostInts,
  LayerNorm,
  Linear,
  linear,
  mul,
  MultiHeadAttention,
  Parameters,
  randomSource,
  record,
  reshape,
  sum,
  type Tensor,
} from '../../src/node.ts';
import { inputError } from '../tasks/runs.ts';
import { sharedRuntime } from '../runtime.ts';

const runtime = sharedRuntime();
const WIDTH = 64;

const rounded = (values: Float32Array): Float32Array => widenHalves(narrowToHalves(values));

/** One of every kind: joined products, single ones, some of odd sizes, a table, norms. */
class Model {
  readonly parameters: Parameters;
  readonly #table: Embedding;
  readonly #attention: MultiHeadAttention;
  readonly #norm: LayerNorm;
  readonly #odd: Linear;

  constructor(parameters: Parameters) {
    this.parameters = parameters;
    this.#table = new Embedding(parameters, 'table', 7, WIDTH);
    this.#attention = new MultiHeadAttention(parameters, WIDTH, 2);
    this.#norm = new LayerNorm(parameters, 'norm', WIDTH, 1e-5);
    this.#odd = new Linear(parameters, 'odd', WIDTH, 3);
  }

  loss(ids: readonly number[]): Tensor {
    const x = reshape(this.#table.forward(hostInts(Int32Array.from(ids))), [1, ids.length, WIDTH]);
    const mixed = this.#attention.forward(x, x, hostInts(Int32Array.of(ids.length)));
    const y = this.#odd.forward(this.#norm.forward(mixed, x));
    return sum(mul(y, y));
  }

  /** Adds the gradients of a loss, `scale` times. */
  async backward(ids: readonly number[], scale = 1): Promise<void> {
    await runtime.scope(async () => {
      const { result, tape } = await record(runtime, () => this.loss(ids));
      tape.backward(result, [], scale);
    });
  }

  async gradients(): Promise<Map<string, Float32Array | undefined>> {
    const found = new Map<string, Float32Array | undefined>();
    for (const [name, { tensor }] of this.parameters.all) found.set(name, await tensor.grad?.read());
    return found;
  }
}

const mixedModel = (): Model => new Model(new Parameters(runtime, randomSource(1), 'mixed'));

/** The values of all copies are those of what they are copies of, to the nearest. */
async function checkCopies(t: test.Test, { all }: Parameters, when: string): Promise<void> {
  let copies = 0;
  const odd: string[] = [];
  for (const [name, { tensor, slot }] of all) {
    if (slot.used === tensor) continue;
    copies++;
    if (String(await slot.used.read()) !== String(rounded(await tensor.read()))) odd.push(name);
  }
  t.deepEqual([copies, odd], [6, []], `${copies} copies ${when}`);
}

test('mixed precision: losses and gradients are those of the rounded weights, bit by bit', async (t) => {
  const mixed = mixedModel();
  const { all, arena } = mixed.parameters;
  mixed.parameters.place();
  t.deepEqual(
    arena.chunks.map(({ copy }) => copy?.dtype),
    [undefined, 'f16'],
    'biases and norms have no copy',
  );
  await checkCopies(t, mixed.parameters, 'at first');
  const apart = randomSource(1);
  const source: typeof apart = {
    values: (name, ...of) => {
      const { tensor, slot } = all.get(name)!;
      const values = apart.values(name, ...of);
      return slot.used === tensor ? values : rounded(values);
    },
  };
  const wide = new Model(new Parameters(runtime, source));
  for (const ids of [
    [0, 3, 5, 3, 6],
    [1, 2, 3],
  ]) {
    const read = ({ loss }: Model, model: Model) =>
      runtime.scope(async () => (await loss.call(model, ids).read()).slice());
    t.deepEqual(await read(mixed, mixed), await read(wide, wide), 'the loss');
    for (const model of [mixed, wide]) await model.backward(ids);
    // The second adds its own to the first's.
    const gradients = [...(await mixed.gradients())];
    t.ok(gradients.every(([, grad]) => grad?.some((g) => g !== 0)));
    t.deepEqual(gradients, [...(await wide.gradients())], 'the gradients');
  }
  for (const { parameters } of [mixed, wide]) parameters.release();
  t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays');
});

test('mixed precision: copies follow their parameters, which step as in f32', async (t) => {
  const { parameters } = mixedModel();
  const f32 = new Model(new Parameters(runtime, randomSource(1))).parameters;
  const optimizers = [parameters, f32].map((own) => new AdamW(own, { lr: 0.05, weightDecay: 0.1 }));
  for (let step = 1; step <= 3; step++) {
    // Of the caller's, in no place of the arena; at the second step not all have one.
    [parameters, f32].forEach((own, which) => {
      own.zeroGrad();
      let next = 0;
      for (const [name, { tensor }] of own.all) {
        const values = Float32Array.from({ length: tensor.size }, () => Math.sin(7 * step + next++));
        if (step !== 2 || name.startsWith('odd'))
          tensor.grad = runtime.upload(values, tensor.shape, 'gradients');
      }
      optimizers[which].step();
    });
    t.deepEqual([...(await parameters.read())], [...(await f32.read())], `step ${step}`);
    await checkCopies(t, parameters, `after step ${step}`);
  }
  const values = Float32Array.from({ length: 3 * WIDTH }, (_, i) => i / 3);
  await parameters.write('odd.weight', values);
  t.deepEqual(await parameters.all.get('odd.weight')!.tensor.read(), values);
  await checkCopies(t, parameters, 'written by the host');
  values[5] = -65520;
  t.equal(
    await inputError(() => parameters.write('odd.weight', values)),
    'parameter odd.weight holds -65520, beyond f16 (-65504 to 65504): load it as f32',
  );
  await checkCopies(t, parameters, 'not written');
  const narrow = new Parameters(runtime, randomSource(1), 'f16');
  const { dtype } = narrow.take('w', [3, WIDTH], 'zeros', true, true);
  values[5] = 1 / 3;
  await narrow.write('w', values);
  t.deepEqual([dtype, (await narrow.read()).get('w')?.data], ['f16', rounded(values)], 'over one in f16');
  for (const held of [...optimizers, parameters, f32, narrow]) held.release();
  t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays');
});

test('mixed precision: a step that is not finite leaves weights, copies and moments, and is taken back', async (t) => {
  const [one, other] = [mixedModel(), mixedModel()];
  const optimizers = [one, other].map(({ parameters }) => new AdamW(parameters, { lr: 0.05 }));
  const step = async (of: number, scale: number, ids: readonly number[]): Promise<number> => {
    const { parameters } = [one, other][of];
    parameters.zeroGrad();
    await [one, other][of].backward(ids, scale);
    const { scale: factor, norm, foundInf } = clipGradNorm(parameters, 1, scale);
    optimizers[of].step(undefined, factor, foundInf);
    const [value] = await norm.read();
    for (const made of [factor, norm, foundInf]) made?.release();
    return value;
  };
  const state = async (of: number) => [
    ...(await [one, other][of].parameters.read()),
    ...(await optimizers[of].read()),
  ];
  const ids = [0, 3, 5];
  const [small, large] = [await step(0, 1, ids), await step(1, 2 ** 16, ids)];
  t.equal(large, small, 'the norm is that of the loss: powers of two round nothing');
  t.deepEqual(await state(0), await state(1), 'and so is the step');
  const before = await state(0);
  t.equal(Number.isFinite(await step(0, 2 ** 126, [1, 2])), false, 'far too large');
  optimizers[0].takeBack(
    [...one.parameters.all].filter(([, { tensor }]) => tensor.grad).map(([name]) => name),
  );
  t.deepEqual(await state(0), before, 'all is as it was');
  t.equal(
    await inputError(() => optimizers[0].takeBack(['odd'])),
    'takeBack: no parameter "odd" has had a step',
  );
  await checkCopies(t, one.parameters, 'left alone');
  for (const of of [0, 1]) await step(of, 2 ** 10, [4, 4, 2]);
  t.deepEqual(await state(0), await state(1), 'and the next step as if that had not been');
  for (const { parameters } of [one, other]) parameters.release();
  for (const optimizer of optimizers) optimizer.release();
  t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays');
});

test('mixed precision: a joined product and its parts share one gradient', async (t) => {
  const parameters = new Parameters(runtime, randomSource(5), 'mixed');
  const shapes = { q: [4, 32], k: [8, 32], v: [4, 32] } as const;
  const [q, k, v] = Object.entries(shapes).map(([name, shape]) =>
    parameters.take(name, shape, { normal: 1 }, true, true),
  );
  const joined = parameters.join([q, k, v]) as Tensor;
  t.deepEqual([joined.shape, joined.dtype], [[16, 32], 'f16']);
  t.equal(
    parameters.join([parameters.take('odd', [3, 32], 'ones', true, true)]),
    undefined,
    'no multiple of 128',
  );
  const x = runtime.upload(
    Float32Array.from({ length: 96 }, (_, i) => Math.sin(i)),
    [3, 32],
  );
  const backward = (...weights: Tensor[]) =>
    runtime.scope(async () => {
      const { result, tape } = await record(runtime, () =>
        weights.map((weight) => sum(linear(x, weight))).reduce((a, b) => add(a, b)),
      );
      tape.backward(result);
    });
  const columns = Float32Array.from(
    { length: 32 },
    (_, i) => Math.sin(i) + Math.sin(i + 32) + Math.sin(i + 64),
  );
  const times = async (name: string) => {
    const grad = await parameters.all.get(name)!.tensor.grad!.read();
    return Math.max(...grad.map((g, i) => Math.abs(g / columns[i % 32])));
  };
  await backward(joined);
  await backward(joined, k);
  for (const [name, expected] of [
    ['q', 2],
    ['k', 3],
    ['v', 2],
  ] as const)
    t.ok(Math.abs((await times(name)) - expected) < 1e-3, name);
  parameters.zeroGrad();
  await backward(k);
  await backward(joined);
  for (const [name, expected] of [
    ['q', 1],
    ['k', 2],
    ['v', 1],
  ] as const)
    t.ok(Math.abs((await times(name)) - expected) < 1e-3, `${name}, a part first`);
  x.release();
  parameters.release();
  t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays');
});
