/** The pool without a device: what it gives back, what it keeps, what it counts. */
import test from 'tape';
import { bucketSize, Memory, powerFrom, type Block } from '../../src/gpu/memory.ts';

function pool() {
  const destroyed: number[] = [];
  const create = (size: number): GPUBuffer =>
    ({ size, destroy: () => void destroyed.push(size) }) as unknown as GPUBuffer;
  return {
    memory: new Memory(create, { maxBufferSize: 2 ** 30, maxStorageBufferBindingSize: 2 ** 30 }),
    destroyed,
  };
}

/** Takes blocks, as a batch of that number uses them, and hands them back. */
function use(memory: Memory, count: number, bytes: number, batch: number): void {
  const blocks = Array.from({ length: count }, (): Block => memory.take(bytes, 'activations'));
  for (const block of blocks) {
    block.lastUse = batch;
    memory.give(block);
  }
}

test('buckets: powers of two up to 256 bytes, then eighths between them, past 32 bits too', (t) => {
  t.deepEqual([1, 16, 17, 100, 129, 256].map(bucketSize), [16, 16, 32, 128, 256, 256]);
  t.deepEqual([257, 289, 480, 511, 512, 513].map(bucketSize), [288, 320, 480, 512, 512, 576]);
  let wrong = 0;
  for (let power = 2 ** 9; power <= 2 ** 34; power *= 2)
    for (let eighth = 1; eighth <= 8; eighth++) {
      const size = power + (eighth * power) / 8;
      for (const bytes of [size - power / 8 + 1, size - 1, size]) if (bucketSize(bytes) !== size) wrong++;
      if (powerFrom(size) !== 2 * power) wrong++;
    }
  t.equal(wrong, 0);
  t.deepEqual([1, 2, 3, 4, 5].map(powerFrom), [1, 2, 4, 4, 8]);
  t.end();
});

test('a pool that would outgrow twice its use destroys idle blocks, the longest unused first', (t) => {
  const { memory, destroyed } = pool();
  use(memory, 4, 32768, 1);
  use(memory, 16, 8192, 2);
  t.equal(memory.report().heldBytes, 2 * 131072, 'twice what was ever in use stays');
  t.deepEqual(destroyed, []);
  memory.submitted = 1;
  use(memory, 64, 2048, 3);
  t.deepEqual(
    destroyed,
    Array(4).fill(32768),
    'blocks of the first batch, none of the second: it is not submitted',
  );
  t.equal(memory.report().heldBytes, 2 * 131072);
  use(memory, 256, 512, 4);
  t.equal(memory.report().heldBytes, 3 * 131072, 'what recorded commands use is kept at any cost');
  t.equal(memory.report().peakHeldBytes, 3 * 131072);
  memory.submitted = 4;
  memory.trim();
  const { heldBytes, pooledBytes, liveBytes, peakBytes } = memory.report();
  t.deepEqual([heldBytes, pooledBytes, liveBytes, peakBytes], [0, 0, 0, 131072]);
  t.equal(memory.take(2048, 'scratch').size, 2048, 'and it goes on');
  t.end();
});

test('trim leaves blocks in use alone', (t) => {
  const { memory, destroyed } = pool();
  const live = memory.take(1000, 'weights');
  memory.give(memory.take(5000, 'scratch'));
  memory.trim();
  t.deepEqual([destroyed, memory.report().heldBytes], [[5120], live.size]);
  t.end();
});

test('an idle block is one that no waiting command uses', (t) => {
  const { memory } = pool();
  use(memory, 1, 1024, 7);
  memory.submitted = 6;
  t.equal(memory.take(1024, 'inputs', true).lastUse, 0, 'a new one');
  memory.submitted = 7;
  t.equal(memory.take(1024, 'inputs', true).lastUse, 7);
  t.end();
});

test('of the blocks that fit, the oldest is taken, whatever was released last', (t) => {
  const { memory } = pool();
  const [a, b, c] = [1, 2, 3].map(() => memory.take(1024, 'activations'));
  for (const block of [b, c, a]) memory.give(block);
  const again = [1, 2, 3].map(() => memory.take(1000, 'scratch'));
  t.deepEqual(
    again.map(({ id }) => id),
    [a.id, b.id, c.id],
  );
  t.end();
});

test("the runtime's own buffers are held and nobody's live bytes", (t) => {
  const { memory } = pool();
  memory.hold(512);
  memory.hold(-512);
  const { heldBytes, peakHeldBytes, peakBytes } = memory.report();
  t.deepEqual([heldBytes, peakHeldBytes, peakBytes], [0, 512, 0]);
  t.end();
});
