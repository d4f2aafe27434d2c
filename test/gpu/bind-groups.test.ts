/** Which bind groups are made and kept, and whose slot is whose, without a device. */
import test from 'tape';
import { defaultCaps, type Dispatch } from '../../kernels/plan.ts';
import { BindGroups } from '../../src/gpu/bind-groups.ts';
import { Commands } from '../../src/gpu/commands.ts';
import { Memory, type Block } from '../../src/gpu/memory.ts';
import { Meter } from '../../src/gpu/meter.ts';
import type { Kept, ReadyPlan, Run, Slot } from '../../src/gpu/ready-plan.ts';

/** Bind groups that are plain objects, in slots that are numbered; the blocks and runs for them. */
function groups() {
  let next = 0;
  const free: Slot[] = [];
  const held = new Set<Slot>();
  const slots = {
    take: () => {
      const slot = free.pop() ?? { buffer: {} as GPUBuffer, offset: next++ };
      held.add(slot);
      return slot;
    },
    give(slot: Slot) {
      if (!held.delete(slot)) throw new Error(`slot ${slot.offset} was free`);
      free.push(slot);
    },
    clear: () => {
      free.push(...held);
      held.clear();
    },
  };
  const device = { createBindGroup: (of: object) => of } as unknown as GPUDevice;
  const memory = new Memory(
    () => ({ size: 16, destroy: () => undefined }) as unknown as GPUBuffer,
    defaultCaps,
  );
  const meter = new Meter();
  return {
    meter,
    made: new BindGroups(device, slots, meter),
    slots: () => held.size,
    block: () => memory.take(16, 'activations'),
    /** A plan of one dispatch for each value: its one uniform, none where it is undefined. */
    plan: (...values: readonly (number | undefined)[]) =>
      ({
        dispatches: values.map((value) => ({
          ...{ operands: [0], pipeline: { compiled: { layout: { id: Number(value === undefined) } } } },
          dispatch: {
            label: 'one',
            uniforms: value === undefined ? [] : [value],
            workgroups: [1, 1, 1],
          } as unknown as Dispatch,
        })),
      }) as unknown as ReadyPlan,
    run: (plan: ReadyPlan, block: Block): Run => ({
      ...{ plan, phase: 'forward', groups: [], state: -1 },
      ...{ blocks: [block], parts: [], tables: [] },
    }),
  };
}

const distinct = (kept: readonly Kept[]): number => new Set(kept.map(({ slot }) => slot)).size;

test('plans that differ in uniforms alone take turns in a bind group; in one batch each has its own', (t) => {
  const { made, meter, block, plan, run } = groups();
  const x = block();
  for (let batch = 1; batch < 5; batch++) {
    made.begin(batch);
    t.equal(made.of(run(plan(batch), x), undefined).length, 1);
    t.equal(meter.bindGroups, 1);
  }
  made.begin(5);
  const three = [plan(1), plan(2), plan(1, 2)].flatMap((one) => made.of(run(one, x), undefined));
  t.equal(distinct(three), 4);
  t.equal(meter.bindGroups, 4);
  made.begin(6);
  const same = run(plan(7), x);
  t.equal(distinct([...made.of(same, undefined), ...made.of(same, undefined)]), 1, 'twice the same run');
  t.equal(made.of(run(plan(undefined), x), undefined)[0].slot, undefined);
  t.end();
});

test('what stays from the last batch keeps its slot from all that is found anew', (t) => {
  const { made, block, plan, run } = groups();
  const x = block();
  made.begin(1);
  const [first, second] = [run(plan(1), x), run(plan(2), x)];
  const [[a], [b]] = [made.of(first, undefined), made.of(second, undefined)];
  made.begin(2);
  made.stays(b, second.plan.dispatches[0].dispatch);
  const [[c], [d]] = [made.of(run(plan(3), x), undefined), made.of(run(plan(4), x), undefined)];
  t.equal(c, a);
  t.equal(distinct([b, c, d]), 3);
  made.begin(3);
  made.stays(a, run(plan(5), x).plan.dispatches[0].dispatch);
  t.notEqual(made.of(first, undefined)[0].slot, a.slot, 'a run does not get back what another has');
  t.end();
});

test('the half that was not used for longest is dropped with its slots, but nothing of the last batch', (t) => {
  const { made, meter, slots, block, plan, run } = groups();
  const one = plan(1);
  const old = run(one, block());
  made.begin(1);
  made.of(old, undefined);
  const some = (count: number): Run[] => Array.from({ length: count }, () => run(one, block()));
  const [early, late] = [some(5000), some(4000)];
  made.begin(2);
  for (const of of early) made.of(of, undefined);
  made.begin(3);
  for (const of of late) made.of(of, undefined);
  t.equal(slots(), 9001);
  made.begin(4);
  t.equal(slots(), 4096);
  for (const of of late) made.of(of, undefined);
  t.equal(meter.bindGroups, 9001, 'those of the last batch are there');
  made.of(old, undefined);
  t.equal(meter.bindGroups, 9002, 'the oldest is made again');
  made.clear();
  t.equal(slots(), 0);
  made.of(old, undefined);
  t.equal(meter.bindGroups, 9003);
  made.begin(5);
  for (const of of some(9000)) made.of(of, undefined);
  made.begin(6);
  t.equal(slots(), 9000, 'a batch of more stays whole');
  t.end();
});

/** Binds the runs of batch after batch; each gives the slots that they have. */
function batches(made: BindGroups): (runs: readonly Run[]) => number {
  const commands = new Commands();
  let number = 1;
  return (runs) => {
    commands.take(runs);
    commands.bind(made, number++, undefined);
    return distinct(commands.groups.slice(0, commands.count));
  };
}

test('what a batch has in common with the last one keeps its slots', (t) => {
  const { made, meter, block, plan, run } = groups();
  const bind = batches(made);
  const x = block();
  const [a, b, c, d, e] = [1, 2, 3, 4, 5].map((value) => run(plan(value), x));
  t.equal(bind([a, b]), 2);
  t.equal(bind([a, b]), 2);
  t.equal(bind([a, c, d]), 3);
  t.equal(bind([e, c, d]), 3);
  t.equal(bind([b]), 1);
  t.equal(bind([a, b, c]), 3);
  t.equal(meter.bindGroups, 3);
  t.end();
});

test('a batch of more dispatches than are kept, again and again, then in part', (t) => {
  const { made, meter, block, plan, run } = groups();
  const bind = batches(made);
  const runs = Array.from({ length: 9000 }, (_, i) => run(plan(i), block()));
  for (let batch = 1; batch < 5; batch++) t.equal(bind(runs), 9000);
  t.equal(meter.bindGroups, 9000);
  const others = [...runs.slice(0, 8990), ...Array.from({ length: 10 }, (_, i) => run(plan(-i), block()))];
  t.equal(bind(others), 9000, 'none has the slot of another');
  t.equal(meter.bindGroups, 9010);
  t.equal(bind(runs), 9000);
  t.end();
});
