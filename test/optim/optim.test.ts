/** AdamW, clipping and the schedule over whole models, against the float64 references and hand-computed values. */
import test from 'tape';
import { adamwReference } from '../../kernels/reference/adamw.ts';
import { relativeError } from '../../kernels/shared/relative-error.ts';
import type { RefTensors } from '../../kernels/reference/types.ts';
import { sizeOf } from '../../kernels/plan.ts';
import {
  AdamW,
  add,
  clipGradNorm,
  Embedding,
  LayerNorm,
  Linear,
  linearWarmupDecay,
  Parameters,
  randomSource,
  record,
  sum,
  type HostTensor,
} from '../../src/node.ts';
import { sharedRuntime } from '../runtime.ts';

const runtime = sharedRuntime();

/** A linear layer, a norm and a table: one of every kind of parameter. */
function model(seed = 1): Parameters {
  const parameters = new Parameters(runtime, randomSource(seed));
  new Linear(parameters, 'linear', 5, 3);
  new LayerNorm(parameters, 'norm', 7, 1e-5);
  new Embedding(parameters, 'table', 4, 2);
  return parameters;
}

/** A gradient for every parameter but those in `without`, different at every step. */
function setGradients(
  parameters: Parameters,
  step: number,
  without: readonly string[] = [],
): Map<string, Float32Array> {
  parameters.zeroGrad();
  const grads = new Map<string, Float32Array>();
  let next = 0;
  for (const [name, { tensor }] of parameters.all) {
    const values = Float32Array.from({ length: sizeOf(tensor.shape) }, () => Math.sin(7 * step + next++));
    if (without.includes(name)) continue;
    grads.set(name, values);
    tensor.grad = runtime.upload(values, tensor.shape, 'gradients');
  }
  return grads;
}

const float64 = ({ shape, data }: HostTensor) => ({ shape, data: Float64Array.from(data) });

test('AdamW over three steps: no decay on biases and norms, no change without a gradient', async (t) => {
  const parameters = model();
  const initial = await parameters.read();
  const optimizer = new AdamW(parameters, { lr: 0.1, weightDecay: 0.5 });
  const states = new Map<string, RefTensors>();
  for (const [name, tensor] of initial) {
    const zeros = () => ({ shape: tensor.shape, data: new Float64Array(tensor.data.length) });
    states.set(name, { param: float64(tensor), m: zeros(), v: zeros() });
  }
  for (let step = 1; step <= 3; step++) {
    const lr = 0.1 / step;
    // The table has its first gradient at step 2: its bias correction starts then.
    const without = step === 1 ? ['table.weight', 'norm.weight'] : ['norm.weight'];
    for (const [name, grad] of setGradients(parameters, step, without)) {
      const decays = name === 'linear.weight' || name === 'table.weight';
      const state = states.get(name) as RefTensors;
      const gradient = { shape: state.param.shape, data: Float64Array.from(grad) };
      const own = name === 'table.weight' ? step - 1 : step;
      const params = { lr, step: own, weightDecay: decays ? 0.5 : 0 };
      states.set(name, adamwReference.forward({ ...state, grad: gradient }, params));
    }
    optimizer.step(lr);
  }
  for (const [name, { data }] of await parameters.read()) {
    const error = relativeError(data, states.get(name)?.param.data ?? []);
    t.ok(error < 1e-6, `${name}: ${error.toExponential(1)}`);
  }
  const norm = (await parameters.read()).get('norm.weight');
  t.deepEqual(norm?.data, initial.get('norm.weight')?.data, 'not even decayed');
  t.notOk((await optimizer.read()).has('m.norm.weight'), 'and it has no moments');
  optimizer.release();
  parameters.release();
  t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays on the device');
});

test('AdamW and the norm, as gradients come and go: in their places, elsewhere, not at all', async (t) => {
  const parameters = new Parameters(runtime, randomSource(2));
  const layers = ['a', 'b', 'c'].map((name) => new Linear(parameters, name, 5, 3));
  const optimizer = new AdamW(parameters, { lr: 0.01, weightDecay: 0.5 });
  const states = new Map<string, { tensors: RefTensors; step: number }>();
  for (const [name, tensor] of await parameters.read()) {
    const zeros = () => ({ shape: tensor.shape, data: new Float64Array(tensor.data.length) });
    states.set(name, { tensors: { param: float64(tensor), m: zeros(), v: zeros() }, step: 0 });
  }
  const all = [...parameters.all];
  let value = 1;
  const steps = ['abc', 'abc', 'ac', 'ac', 'aBc', 'aBc', 'abc', 'Abc', 'b', '', 'abc', 'abc'];
  for (const [at, step] of steps.entries()) {
    parameters.zeroGrad();
    await runtime.scope(async () => {
      const x = runtime.upload(
        Float32Array.from({ length: 10 }, () => Math.sin(value++)),
        [2, 5],
      );
      const used = layers.filter((_, i) => step.includes('abc'[i]));
      if (used.length > 0) {
        const { result, tape } = await record(runtime, () => {
          const outputs = used.map((layer) => sum(layer.forward(x)));
          return outputs.reduce((a, b) => add(a, b));
        });
        tape.backward(result);
      }
      for (const [name, { tensor }] of all)
        if (step.includes(name[0].toUpperCase())) {
          const values = Float32Array.from({ length: tensor.size }, () => Math.sin(value++));
          tensor.grad = runtime.keep(runtime.upload(values, tensor.shape, 'gradients'));
        }
      const grads = new Map<string, Float32Array>();
      for (const [name, { tensor }] of all) if (tensor.grad) grads.set(name, await tensor.grad.read());
      const squares = [...grads.values()].flatMap((grad) => [...grad]);
      const clip = clipGradNorm(parameters, 1e3);
      const norm = Math.hypot(...squares);
      const measured = (await clip.norm.read())[0];
      t.ok(Math.abs(measured - norm) <= 1e-6 * norm, `step ${at}, ${step}: norm ${measured}`);
      const lr = 0.01 / (at + 1);
      optimizer.step(lr, clip.scale);
      for (const [name, data] of grads) {
        const state = states.get(name)!;
        const params = { lr, step: ++state.step, weightDecay: name.endsWith('weight') ? 0.5 : 0 };
        const grad = { shape: state.tensors.param.shape, data: Float64Array.from(data) };
        state.tensors = adamwReference.forward({ ...state.tensors, grad }, params);
      }
    });
    if (at === 8) optimizer.takeBack(['b.weight']);
    if (at === 8) states.get('b.weight')!.step--;
    const now = await parameters.read();
    const errors = [...states].map(([name, { tensors }]) =>
      relativeError(now.get(name)!.data, tensors.param.data),
    );
    t.ok(Math.max(...errors) < 1e-6, `step ${at}, ${step}: off by ${Math.max(...errors).toExponential(1)}`);
  }
  const read = await optimizer.read();
  for (const [name, { step }] of states) t.equal(read.get(`step.${name}`)?.data[0], step, `steps of ${name}`);
  optimizer.release();
  parameters.release();
  t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays on the device');
});

test('AdamW: the first step by hand', async (t) => {
  const parameters = new Parameters(runtime, randomSource(1));
  const weight = parameters.take('w', [2], 'ones');
  weight.grad = runtime.upload(new Float32Array([0.5, -4]), [2], 'gradients');
  const optimizer = new AdamW(parameters, { lr: 0.1, weightDecay: 0.2 });
  optimizer.step();
  // 1 · (1 − 0.1 · 0.2) − 0.1 · sign(g)
  const [a, b] = await weight.read();
  t.ok(Math.abs(a - 0.88) < 1e-6 && Math.abs(b - 1.08) < 1e-6, `${a}, ${b}`);
  optimizer.release();
  parameters.release();
});

test('moments saved and loaded go on bit for bit', async (t) => {
  const [one, two] = [model(3), model(3)];
  const first = new AdamW(one, { lr: 0.01 });
  for (const step of [1, 2]) {
    setGradients(one, step);
    first.step();
  }
  const saved = await first.read();
  for (const [name, { data }] of await one.read()) {
    const parameter = two.all.get(name);
    if (parameter) await runtime.write(parameter.tensor, data);
  }
  const second = new AdamW(two, { lr: 0.01 });
  setGradients(two, 9);
  second.step(0); // moments of its own, which loading replaces
  second.load(saved);
  t.deepEqual([...(await second.read())], [...saved], 'what was loaded is what is read');
  for (const [parameters, optimizer] of [[one, first] as const, [two, second] as const]) {
    setGradients(parameters, 3);
    optimizer.step();
  }
  t.deepEqual([...(await two.read())], [...(await one.read())], 'the same parameters after another step');
  t.equal(saved.get('step.linear.weight')?.data[0], 2);

  const changed = (key: string, tensor?: HostTensor): Map<string, HostTensor> => {
    const copy = new Map(saved);
    if (tensor) copy.set(key, tensor);
    else copy.delete(key);
    return copy;
  };
  const zeros = (shape: number[]): HostTensor => ({ shape, dtype: 'f32', data: new Float32Array(7) });
  t.throws(() => second.load(changed('v.norm.bias')), /"v.norm.bias" is missing/);
  t.throws(() => second.load(changed('m.other', zeros([7]))), /"m.other" belongs to no parameter/);
  t.throws(
    () => second.load(changed('m.norm.bias', zeros([1, 7]))),
    /"m.norm.bias" is \[1,7\], its parameter \[7\]/,
  );
  for (const held of [first, second, one, two]) held.release();
  t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays on the device');
});

test('clipping by the norm over all gradients', async (t) => {
  const parameters = model();
  for (const maxNorm of [0.5, 1e3]) {
    const grads = setGradients(parameters, 1);
    const norm = Math.hypot(...[...grads.values()].flatMap((g) => [...g]));
    const before = await parameters.read();
    const clip = clipGradNorm(parameters, maxNorm);
    const [measured, factor] = [(await clip.norm.read())[0], (await clip.scale.read())[0]];
    const expected = Math.min(1, maxNorm / (norm + 1e-6));
    t.ok(Math.abs(measured / norm - 1) < 1e-6, `norm ${measured}`);
    t.ok(Math.abs(factor / expected - 1) < 1e-6, `factor ${factor}`);
    // A large eps makes the step proportional to the gradient, so that the factor shows.
    const optimizer = new AdamW(parameters, { lr: 1e3, eps: 1e3, weightDecay: 0 });
    optimizer.step(undefined, clip.scale);
    const after = await parameters.read();
    let worst = 0;
    for (const [name, grad] of grads)
      grad.forEach((g, i) => {
        const moved = (before.get(name)?.data[i] ?? 0) - (after.get(name)?.data[i] ?? 0);
        worst = Math.max(worst, Math.abs(moved - (1e3 * expected * g) / (Math.abs(expected * g) + 1e3)));
      });
    t.ok(worst < 1e-5, `the step takes the clipped gradients (off by ${worst})`);
    optimizer.release();
    clip.norm.release();
    clip.scale.release();
  }
  parameters.zeroGrad();
  const none = clipGradNorm(parameters, 1);
  t.equal((await none.norm.read())[0], 0, 'no gradient at all: norm 0');
  none.norm.release();
  none.scale.release();
  parameters.release();
  t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays on the device');
});

test('linear warm-up and decay', (t) => {
  const at = (step: number) => linearWarmupDecay(step, 4, 12);
  t.deepEqual([0, 1, 2, 4, 8, 11, 12, 20].map(at), [0, 0.25, 0.5, 1, 0.5, 0.125, 0, 0]);
  t.equal(linearWarmupDecay(0, 0, 10), 1, 'no warm-up starts at the full rate');
  t.equal(linearWarmupDecay(0, 0, 0), 0, 'no steps at all');
  t.equal(linearWarmupDecay(3, 5, 5), 0.6, 'warm-up to the very end');
  t.end();
});

/** Gives a parameter a gradient that lies elsewhere. */
function give(parameters: Parameters, name: string, value: number): void {
  const { tensor } = parameters.all.get(name)!;
  const values = new Float32Array(tensor.size).fill(value);
  tensor.grad = runtime.keep(runtime.upload(values, tensor.shape, 'gradients'));
}

test('the norm of parameters that took the place of others', async (t) => {
  const parameters = new Parameters(runtime, randomSource(1));
  for (const [name, size] of [
    ['a', 4],
    ['b', 9],
  ] as const) {
    parameters.take(name, [size], 'ones');
    give(parameters, name, 1);
    const { norm, scale } = clipGradNorm(parameters, 1);
    t.equal((await norm.read())[0], Math.sqrt(size));
    for (const tensor of [norm, scale]) tensor.release();
    parameters.release();
  }
  t.end();
});

test('AdamW: a step that fails midway is counted where it was, and the next steps go on from there', async (t) => {
  const parameters = new Parameters(runtime, randomSource(1));
  const layer = new Linear(parameters, 'l', 4, 4);
  parameters.take('z', [4], 'ones');
  const optimizer = new AdamW(parameters, { lr: 0.01 });
  const resumed = new AdamW(parameters, { lr: 0.01 });
  const backward = async (): Promise<void> => {
    parameters.zeroGrad();
    const x = runtime.upload(Float32Array.of(1, 1, 1, 1), [1, 4]);
    const { result, tape } = await record(runtime, () => sum(layer.forward(x)));
    tape.backward(result);
  };
  const valueAfter = async (of: AdamW): Promise<number> => {
    of.step();
    return (await parameters.read()).get('l.weight')!.data[0];
  };
  await runtime.scope(async () => {
    for (let step = 1; step < 5; step++) {
      await backward();
      if (step === 3) {
        give(parameters, 'z', 1);
        parameters.all.get('z')!.tensor.grad!.release();
        t.throws(() => optimizer.step(), /was released/);
      } else optimizer.step();
    }
    resumed.load(await optimizer.read());
    await backward();
    const before = (await parameters.read()).get('l.weight')!.data as Float32Array;
    const value = await valueAfter(optimizer);
    await parameters.write('l.weight', before);
    t.equal(await valueAfter(resumed), value);
  });
  for (const one of [optimizer, resumed]) one.release();
  parameters.release();
  t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays on the device');
  t.end();
});

test('AdamW knows of no step of a parameter without a place, and gives it none', async (t) => {
  const parameters = new Parameters(runtime, randomSource(1));
  const optimizer = new AdamW(parameters, { lr: 0.01 });
  const tensors = ['a', 'b'].map((name) => parameters.take(name, [64], 'ones'));
  t.equal((await optimizer.read()).size, 0);
  t.throws(() => optimizer.takeBack(['a']), /takeBack: no parameter "a" has had a step/);
  t.ok(parameters.join(tensors), 'they can be joined as yet');
  parameters.all.get('a')!.tensor.release();
  parameters.place();
  t.equal((await optimizer.read()).size, 0);
  parameters.release();
  t.end();
});

test('AdamW: steps that were taken back, of gradients in their places', async (t) => {
  const parameters = new Parameters(runtime, randomSource(1));
  const layer = new Linear(parameters, 'l', 4, 4);
  const optimizer = new AdamW(parameters, { lr: 0.01 });
  const x = runtime.upload(Float32Array.of(1, 1, 1, 1), [1, 4]);
  for (const found of [0, 1, 0, 1, 0]) {
    parameters.zeroGrad();
    await runtime.scope(async () => {
      const { result, tape } = await record(runtime, () => sum(layer.forward(x)));
      tape.backward(result);
      optimizer.step(0.01, undefined, runtime.upload(Float32Array.of(found), [1]));
      if (found) optimizer.takeBack(parameters.all.keys());
    });
  }
  // The gradient is 1 throughout: each step that counts is one of lr.
  const bias = (await parameters.read()).get('l.bias')!.data;
  t.ok(
    bias.every((value) => Math.abs(value + 0.03) < 1e-6),
    String(bias),
  );
  t.equal((await optimizer.read()).get('step.l.bias')?.data[0], 3);
  optimizer.release();
  const { grad } = parameters.all.get('l.bias')!.tensor;
  const kept = clipGradNorm(parameters, 1);
  grad!.release(); // though it lies where it lay
  t.throws(() => clipGradNorm(parameters, 1), /was released/);
  for (const tensor of [x, kept.norm, kept.scale]) tensor.release();
  parameters.release();
  t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays on the device');
});
