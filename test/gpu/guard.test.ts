/** Error scopes of a device that is none: which failure is told, and what a lost device leaves. */
import test from 'tape';
import { GpuValidationError, OutOfMemoryError } from '../../src/gpu/errors.ts';
import { Guard } from '../../src/gpu/guard.ts';

/** A guard of a device whose scopes hold these, the innermost first: a message, nothing, or they cannot be popped. */
const guardOf = (...held: readonly (string | undefined | Error)[]): Guard => {
  const scopes: string[] = [];
  const results = [...held];
  const device = {
    pushErrorScope: (filter: string) => scopes.push(filter),
    popErrorScope: () => {
      const [of, result] = [scopes.pop(), results.shift()];
      if (result instanceof Error) return Promise.reject(result);
      return Promise.resolve(result === undefined ? null : { message: `${of}: ${result}` });
    },
  };
  return new Guard(device as unknown as GPUDevice);
};

test('what scopes catch is the failure, the first of them; nothing else is', async (t) => {
  const cases: [held: (string | undefined | Error)[], kind?: typeof GpuValidationError, message?: string][] =
    [
      [[undefined, undefined]],
      [['bad', undefined], GpuValidationError, 'it: validation: bad'],
      [[undefined, 'full'], OutOfMemoryError, 'it: out-of-memory: full'],
      [['bad', 'full'], GpuValidationError, 'it: validation: bad'],
      [[new Error('lost'), new Error('lost')]],
      [[new Error('lost'), 'full'], OutOfMemoryError, 'it: out-of-memory: full'],
    ];
  for (const [held, kind, message] of cases) {
    const guard = guardOf(...held);
    t.equal(
      guard.run(
        () => 'it',
        () => 7,
      ),
      7,
    );
    await guard.checked;
    t.equal(guard.failure?.constructor, kind);
    t.equal(guard.failure?.message, message);
  }
});

test('whoever takes what the device refuses, takes it in place of the guard; a body that throws is checked too', async (t) => {
  const guard = guardOf('bad', undefined, undefined, 'full');
  const refused: string[] = [];
  guard.run(
    () => 'it',
    () => 7,
    (why) => refused.push(why),
  );
  await guard.checked;
  t.deepEqual(refused, ['it: validation: bad']);
  t.equal(guard.failure, undefined);
  const body = (): void => {
    throw new Error('body');
  };
  t.throws(() => guard.run(() => 'that', body), /body/);
  await guard.checked;
  t.equal(guard.failure?.message, 'that: out-of-memory: full');
});
