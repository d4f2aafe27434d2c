/** The tape: fan-in, accumulation, aliasing, lifetimes, and errors at the moment they are made. */
import test from 'tape';
import {
  add,
  apply,
  concat,
  InputError,
  kernelNamed,
  layerNorm,
  mul,
  record,
  reshape,
  scale,
  split,
  sum,
  type Kernel,
  type Tensor,
} from '../../src/node.ts';
import { sharedRuntime } from '../runtime.ts';

const runtime = sharedRuntime();

const upload = (values: number[], shape = [values.length]): Tensor =>
  runtime.upload(new Float32Array(values), shape);

function leaf(values: number[], shape = [values.length]): Tensor {
  const tensor = upload(values, shape);
  tensor.requiresGrad = true;
  return tensor;
}

/** Gradients of Σ body() for the leaves; all else is released. */
async function gradients(leaves: Tensor[], body: () => Tensor): Promise<(number[] | undefined)[]> {
  return runtime.scope(async () => {
    const { result, tape } = await record(runtime, () => sum(body()));
    tape.backward(result);
    return Promise.all(leaves.map(async ({ grad }) => (grad ? [...(await grad.read())] : undefined)));
  });
}

function clear(leaf: Tensor): void {
  leaf.grad?.release();
  leaf.grad = undefined;
}

/** A test that must leave no byte on the device, once its leaves are released. */
function check(name: string, body: (t: test.Test, leaf: typeof upload) => Promise<void>): void {
  test(name, async (t) => {
    const made: Tensor[] = [];
    await body(t, (values, shape) => {
      made.push(runtime.keep(leaf(values, shape)));
      return made[made.length - 1];
    });
    for (const tensor of made) {
      clear(tensor);
      tensor.release();
    }
    t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays on the device');
  });
}

check('a tensor used three times gets the sum of three gradients', async (t, leaf) => {
  const x = leaf([1, 2, 3]);
  t.deepEqual(await gradients([x], () => add(add(scale(x, 2), scale(x, 3)), scale(x, 4))), [[9, 9, 9]]);
});

check('an intermediate used three times', async (t, leaf) => {
  const x = leaf([1, 2]);
  const body = () => {
    const y = scale(x, 2);
    return add(mul(y, y), y);
  };
  // d/dx (4x² + 2x) = 8x + 2
  t.deepEqual(await gradients([x], body), [[10, 18]]);
});

check('one tensor as both inputs of an operation', async (t, leaf) => {
  const x = leaf([1, 2, 3]);
  t.deepEqual(await gradients([x], () => add(x, x)), [[2, 2, 2]], 'x + x');
  clear(x);
  t.deepEqual(await gradients([x], () => mul(x, x)), [[2, 4, 6]], 'x · x');
  clear(x);
  t.deepEqual(
    await gradients([x], () => concat(reshape(x, [1, 3]), reshape(x, [1, 3]))),
    [[2, 2, 2]],
    '[x, x]',
  );
});

check('two tensors that share one gradient do not share its memory', async (t, leaf) => {
  const [a, b] = [leaf([1, 2]), leaf([3, 4])];
  // a and b both get the gradient of a + b; a gets more.
  t.deepEqual(await gradients([a, b], () => add(add(a, b), mul(a, a))), [
    [3, 5],
    [1, 1],
  ]);
});

check('x and its reshape both used', async (t, leaf) => {
  const x = leaf([1, 2, 3, 4], [2, 2]);
  const body = () => {
    const y = scale(x, 2);
    const flat = reshape(y, [4]);
    return add(reshape(scale(flat, 10), [2, 2]), add(mul(y, y), reshape(flat, [2, 2])));
  };
  // d/dx (20x + 4x² + 2x) = 22 + 8x
  t.deepEqual(await gradients([x], body), [[30, 38, 46, 54]]);
  clear(x);
  const direct = () => add(reshape(reshape(x, [4]), [4]), add(reshape(x, [4]), reshape(mul(x, x), [4])));
  t.deepEqual(await gradients([x], direct), [[4, 6, 8, 10]], 'views of a leaf');
});

check('the gradient of a reshaped leaf outlives its scope and its upstream', async (t, leaf) => {
  const x = leaf([1, 2, 3, 4]);
  await runtime.scope(async () => {
    const { result, tape } = await record(runtime, () => sum(reshape(x, [2, 2])));
    tape.backward(result);
  });
  const other = runtime.upload(new Float32Array([9, 9, 9, 9]), [4]);
  t.deepEqual([...((await x.grad?.read()) ?? [])], [1, 1, 1, 1]);
  t.deepEqual(x.grad?.shape, [4]);
  other.release();
});

check('gradients accumulate over two backward passes until they are cleared', async (t, leaf) => {
  const x = leaf([1, 2]);
  t.deepEqual(await gradients([x], () => mul(x, x)), [[2, 4]]);
  t.deepEqual(await gradients([x], () => scale(x, 10)), [[12, 14]]);
});

check('a leaf that the loss does not reach has no gradient', async (t, leaf) => {
  const [x, y] = [leaf([1]), leaf([2])];
  const body = () => {
    scale(y, 3); // recorded, but not part of the loss
    return scale(x, 2);
  };
  t.deepEqual(await gradients([x, y], body), [[2], undefined]);
});

check('outputs are released as backward passes them, unless retained', async (t, leaf) => {
  const x = leaf([1, 2]);
  await runtime.scope(async () => {
    const made: Tensor[] = [];
    const { result, tape } = await record(runtime, () => {
      made.push(scale(x, 2), scale(x, 3));
      return sum(mul(made[0], made[1]));
    });
    t.equal(tape.length, 4);
    tape.backward(result, [made[1]]);
    t.equal(made[0].released, true);
    t.deepEqual([...(await made[1].read())], [3, 6], 'the retained one still has its elements');
    t.deepEqual([...(await result.read())], [30], 'the loss is always kept');
    t.equal(tape.length, 0, 'a tape is walked once');
    const second = await record(runtime, () => sum(mul(made[1], x)));
    second.tape.backward(second.result);
    t.equal(made[1].grad, undefined, 'on another tape a retained tensor is a constant');
    t.deepEqual([...((await x.grad?.read()) ?? [])], [15, 30]);
  });
});

check('backward holds a few gradients at a time, however long the tape', async (t, leaf) => {
  const x = leaf([1, 2, 3, 4]);
  await runtime.scope(async () => {
    const { result, tape } = await record(runtime, () => {
      let y = x;
      for (let i = 0; i < 30; i++) y = scale(y, 1.1);
      return sum(y);
    });
    const before = runtime.memory.report();
    runtime.memory.resetPeak();
    tape.backward(result);
    const { peakByLabel, liveBytes } = runtime.memory.report();
    t.ok(peakByLabel.gradients <= 3 * 16, `${peakByLabel.gradients} bytes of gradients at most`);
    t.equal(before.liveBytes - liveBytes, 29 * 16, 'of 30 activations and a gradient, the gradient is left');
  });
});

check('a backward is given the tensors of repeated ports', async (t, leaf) => {
  const { backward, ...forward } = kernelNamed('weighted-sum');
  const [weights, x0] = forward.inputs;
  const inputs = [weights, { ...x0, repeated: true }];
  const kernel: Kernel = {
    ...{ ...forward, inputs },
    backward: backward && {
      ...{ ...backward, inputs: [...inputs, backward.inputs[backward.inputs.length - 1]] },
      outputs: inputs.map((port) => ({ ...port, name: `grad_${port.name}` })),
    },
  };
  const [w, a, b] = [leaf([2, 3]), leaf([1, 4]), leaf([5, 7])];
  t.deepEqual(await gradients([w, a, b], () => apply(runtime, kernel, { weights: w, x0: a, x1: b }).out), [
    [5, 12],
    [2, 2],
    [3, 3],
  ]);
});

check('an operation without a backward fails when it is recorded, and names itself', async (t, leaf) => {
  const x = leaf([1, 2]);
  const forwardOnly: Kernel = { ...kernelNamed('scale'), name: 'one-way', backward: undefined };
  const before = runtime.memory.report().liveBytes;
  let message = '';
  await record(runtime, () => apply(runtime, forwardOnly, { x }, { factor: 2 })).catch(
    (error: Error) => (message = error.message),
  );
  t.match(message, /^one-way: has no backward/);
  t.equal(runtime.tape, undefined, 'the tape does not go on recording');
  t.equal(runtime.memory.report().liveBytes, before, 'and it has not run');
  const { out } = apply(runtime, forwardOnly, { x }, { factor: 2 });
  t.deepEqual([...(await out.read())], [2, 4], 'without a tape it runs');
  out.release();
});

check('a loss must be a scalar of this tape; tapes do not nest', async (t, leaf) => {
  const x = leaf([1, 2]);
  await runtime.scope(async () => {
    const { result, tape } = await record(runtime, () => scale(x, 2));
    t.throws(() => tape.backward(result), /the loss must be a scalar, it is \[2\]/);
    const other = await record(runtime, () => sum(x));
    t.throws(() => tape.backward(other.result), /not computed under this tape/);
    const nested = record(runtime, async () => {
      await record(runtime, () => undefined);
    });
    await nested.then(
      () => t.fail('nested'),
      (error: Error) => t.match(error.message, /recording already/),
    );
  });
});

check('a body that throws leaves no tape and no memory behind', async (t, leaf) => {
  const x = leaf([1, 2]);
  const before = runtime.memory.report().liveBytes;
  await runtime
    .scope(() => record(runtime, () => mul(scale(x, 2), upload([1, 2, 3]))))
    .then(
      () => t.fail('shapes differ'),
      (error: Error) => t.ok(error instanceof InputError, error.message),
    );
  t.equal(runtime.tape, undefined);
  t.equal(runtime.memory.report().liveBytes, before);
});

check('what a body that throws computed is data afterwards', async (t, leaf) => {
  const x = leaf([1, 2]);
  const made: Tensor[] = [];
  const failing = () => {
    made.push(scale(x, 2));
    throw new Error('on purpose');
  };
  await runtime.scope(async () => {
    await record(runtime, failing).catch((error: Error) => t.equal(error.message, 'on purpose'));
    t.equal(made[0].requiresGrad, false);
  });
});

check('what is saved for the backward kernel is released where nothing records', async (t, leaf) => {
  const [x, weight, bias] = [leaf([1, 2, 3, 4], [2, 2]), leaf([1, 1]), leaf([0, 0])];
  const before = runtime.memory.report().liveBytes;
  const out = layerNorm(x, weight, bias, 1e-5);
  t.equal(runtime.memory.report().liveBytes - before, 16, 'the output: neither mean nor rstd');
  const values = [...(await out.read())];
  out.release();
  const outputs = apply(runtime, kernelNamed('layer-norm'), { x, weight, bias }, { eps: 1e-5 });
  t.deepEqual(Object.keys(outputs), ['out'], "and they are nobody's to use");
  outputs.out.release();
  await runtime.scope(async () => {
    const { result } = await record(runtime, () => layerNorm(x, weight, bias, 1e-5));
    t.deepEqual([...(await result.read())], values);
    t.equal(runtime.memory.report().liveBytes - before, 16 + 16 + 8, 'under a tape they are kept');
  });
});

check('the zero gradients of outputs that the loss does not reach are released', async (t, leaf) => {
  const x = leaf([1, 2, 3, 4], [2, 2]);
  await runtime.scope(async () => {
    const before = runtime.memory.report().liveBytes;
    const { result, tape } = await record(runtime, () => sum(split(x, [1, 1])[0]));
    tape.backward(result);
    t.equal(runtime.memory.report().liveBytes - before, 4 + 16, 'the loss and the gradient are left');
    t.deepEqual([...((await x.grad?.read()) ?? [])], [1, 0, 1, 0]);
  });
});

check('tidy: what a backward may need stays, all else goes', async (t, leaf) => {
  const a = leaf([1, 2, 3]);
  /** 2 · x², by way of a tensor that is seen. */
  const doubled = (x: Tensor): { out: Tensor; inner: Tensor } =>
    runtime.tidy(() => {
      const inner = mul(x, x);
      return { out: scale(inner, 2), inner };
    });
  await runtime.scope(async () => {
    let inner: Tensor | undefined;
    const twice = (x: Tensor) =>
      runtime.tidy(() => {
        const made = doubled(x);
        inner = made.inner;
        return made.out;
      });
    const out = twice(a);
    t.ok(inner?.released && !out.released, 'without a tape the intermediate goes');
    t.deepEqual([...(await out.read())], [2, 8, 18]);

    const { result, tape } = await record(runtime, () => {
      const constant = twice(upload([4, 5, 6]));
      t.ok(inner?.released && !constant.released, 'what needs no gradient goes under a tape too');
      const recorded = twice(a);
      t.notOk(inner?.released, 'what was recorded stays');
      return sum(add(recorded, constant));
    });
    tape.backward(result);
    t.deepEqual([...((await a.grad?.read()) ?? [])], [4, 8, 12]);

    const seen: Tensor[] = [];
    t.throws(
      () =>
        runtime.tidy(() => {
          seen.push(upload([1]));
          throw new InputError('stop');
        }),
      /stop/,
    );
    t.ok(seen[0].released, 'and after an error');
    t.equal(runtime.tidy(() => a).released, false, 'what was not made inside is left alone');
  });
});
