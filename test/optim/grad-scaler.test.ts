/** Loss scaling by hand: what a step counts on, and that a scaler goes on where another one was saved. */
import test from 'tape';
import { GradScaler, type ScalerState } from '../../src/node.ts';

/** A scaler whose optimizer notes what it takes back; steps that are known one late, as a training knows them. */
class Run {
  readonly taken: string[][] = [];
  scaler = new GradScaler({ takeBack: (names) => void this.taken.push([...names]) });
  readonly scales: number[] = [];
  #ending: (() => void) | undefined;

  /** @param isGood false where its gradients are not finite */
  step(isGood: boolean): void {
    const { scale, end, skip } = this.scaler.begin();
    this.settle();
    this.scales.push(scale);
    this.#ending = () => (isGood ? end() : void skip([`step ${this.scales.length}`]));
  }

  settle(): void {
    this.#ending?.();
    this.#ending = undefined;
  }
}

test('the scale halves two steps after one that is skipped, once for what was skipped at the same scale', (t) => {
  const run = new Run();
  for (const isGood of [true, false, false, true, false, true, true, true]) run.step(isGood);
  t.deepEqual(run.scales.map(Math.log2), [16, 16, 16, 15, 15, 15, 14, 14]);
  t.deepEqual(run.taken, [['step 2'], ['step 3'], ['step 5']]);
  t.equal(run.scaler.skipped, 3);
  t.end();
});

test('it doubles after 2,000 good steps, up to 2^24, and is never below 1', (t) => {
  const run = new Run();
  for (let step = 0; step < 2002; step++) run.step(step !== 3);
  t.deepEqual([run.scales[2001], run.scaler.save().good], [2 ** 15, 1997]);
  for (let step = 0; step < 6; step++) run.step(true);
  t.deepEqual(run.scales.slice(-6).map(Math.log2), [15, 15, 15, 16, 16, 16]);
  run.scaler.load({ scale: 2 ** 24, good: 1999, skipped: 0 });
  for (let step = 0; step < 3; step++) run.step(true);
  t.equal(run.scales.at(-1), 2 ** 24);
  run.settle();
  run.scaler.load({ scale: 2, good: 0, skipped: 0 });
  const fails = () => {
    const { scale, skip } = run.scaler.begin();
    return [scale, skip(['w'])];
  };
  t.deepEqual(
    [fails(), fails(), fails()],
    [
      [2, true],
      [2, true],
      [1, false],
    ],
  );
  t.end();
});

test('saved after any step and loaded into another, it gives the same scales', (t) => {
  const steps = [true, false, true, false, false, true, true, false, true, true];
  const whole = new Run();
  for (const isGood of steps) whole.step(isGood);
  for (let saved = 0; saved < steps.length; saved++) {
    const [before, after] = [new Run(), new Run()];
    for (const isGood of steps.slice(0, saved)) before.step(isGood);
    before.settle();
    const state = JSON.parse(JSON.stringify(before.scaler.save())) as ScalerState;
    after.scaler.load(state);
    t.deepEqual(after.scaler.save(), state);
    for (const isGood of steps.slice(saved)) after.step(isGood);
    t.deepEqual([...before.scales, ...after.scales], whole.scales, `after ${saved}`);
    t.equal(before.taken.length + after.taken.length, whole.taken.length);
    t.equal(after.scaler.skipped, whole.scaler.skipped);
  }
  t.end();
});
