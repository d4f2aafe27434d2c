/** The paced event pump leaves the process as it found it. */
import test from 'tape';
import { pacedWait } from '../../src/gpu/pump.ts';

const original = globalThis.setImmediate;
const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;

test('setImmediate is paced during a wait and restored after it', async (t) => {
  const before = timers();
  let during: unknown;
  const value = await pacedWait(
    (async () => {
      await Promise.resolve(); // until the wait has begun
      during = globalThis.setImmediate;
      return new Promise<number[]>((resolve) => {
        globalThis.setImmediate((...args: number[]) => resolve(args), 1, 2);
      });
    })(),
  );
  t.deepEqual(value, [1, 2], 'a paced callback runs, with its arguments');
  t.notEqual(during, original);
  t.equal(globalThis.setImmediate, original);
  t.equal(timers(), before, 'no timer is left');
});

test('it is restored on rejection', async (t) => {
  const before = timers();
  await pacedWait(Promise.reject(new Error('lost'))).then(
    () => t.fail('must reject'),
    (error: Error) => t.equal(error.message, 'lost', 'the rejection passes'),
  );
  t.equal(globalThis.setImmediate, original);
  t.equal(timers(), before);
});

test('overlapping waits restore it once, with the last', async (t) => {
  let end = (): void => undefined;
  const long = pacedWait(new Promise<void>((resolve) => (end = resolve)));
  await pacedWait(Promise.resolve());
  await pacedWait(Promise.reject(new Error('short'))).catch(() => undefined);
  t.notEqual(globalThis.setImmediate, original, 'still paced');
  end();
  await long;
  t.equal(globalThis.setImmediate, original);
});

test('a wait keeps the process alive, and nothing else does', async (t) => {
  const before = timers();
  let end = (): void => undefined;
  const waiting = pacedWait(new Promise<void>((resolve) => (end = resolve)));
  t.equal(timers(), before + 1);
  end();
  await waiting;
  t.equal(timers(), before);
});
