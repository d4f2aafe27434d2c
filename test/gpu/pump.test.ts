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

test('clearImmediate cancels a paced callback, within the wait and after it', async (t) => {
  const clear = globalThis.clearImmediate;
  let ran = 0;
  const paced = () => setImmediate(() => ran++);
  let late: NodeJS.Immediate | undefined;
  await pacedWait(
    (async () => {
      await Promise.resolve(); // until the wait has begun
      clearImmediate(paced());
      late = paced();
    })(),
  );
  clearImmediate(late);
  t.equal(globalThis.clearImmediate, clear, 'with nothing pending it is what it was');
  const unpaced = paced();
  clearImmediate(unpaced);
  await new Promise((resolve) => setTimeout(resolve, 10));
  t.equal(ran, 0);
  await pacedWait(Promise.resolve().then(() => void paced()));
  t.notEqual(globalThis.clearImmediate, clear, 'one is still pending');
  await new Promise((resolve) => setTimeout(resolve, 10));
  t.deepEqual([ran, globalThis.clearImmediate], [1, clear]);
});

test("somebody else's setImmediate is left in place, and is not paced once the wait is over", async (t) => {
  let theirs: typeof setImmediate | undefined;
  await pacedWait(
    (async () => {
      await Promise.resolve();
      const ours = globalThis.setImmediate;
      theirs = ((...args: Parameters<typeof ours>) => ours(...args)) as typeof ours;
      globalThis.setImmediate = theirs;
    })(),
  );
  t.equal(globalThis.setImmediate, theirs);
  const handle: unknown = setImmediate(() => undefined);
  t.equal((handle as object).constructor.name, 'Immediate', 'passed on to what was there before');
  await pacedWait(Promise.resolve());
  t.equal(globalThis.setImmediate, theirs, 'after another wait too');
  globalThis.setImmediate = original;
});
