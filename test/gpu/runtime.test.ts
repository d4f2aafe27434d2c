import test from 'tape';
import { kernelNamed, openRuntime } from '../../src/node.ts';

const runtime = await openRuntime({ defaultLimits: true, poison: true });
test.onFinish(() => runtime.close());

test('linear of a small matrix', async (t) => {
  const x = runtime.upload(new Float32Array([1, 2, 3, 4, 5, 6]), [2, 3]);
  const weight = runtime.upload(new Float32Array([1, 0, 0, 0, 1, 1]), [2, 3]);
  const bias = runtime.upload(new Float32Array([0.5, -1]), [2]);
  const { out } = runtime.kernel(kernelNamed('linear'), { x, weight, bias });
  t.deepEqual([...(await out.read())], [1.5, 4, 4.5, 10]);
});
