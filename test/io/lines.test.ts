/** Lines out of chunks of bytes, however these are cut. */
import test from 'tape';
import { Lines } from '../../src/io/lines.ts';

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

async function* inChunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** A stream that a test feeds by hand, and that counts what is taken from it. */
class Fed implements AsyncIterable<Uint8Array>, AsyncIterator<Uint8Array> {
  taken = 0;
  #there: (Uint8Array | undefined)[] = [];
  #wake: (() => void) | undefined;

  give(text?: string): void {
    this.#there.push(text === undefined ? undefined : bytesOf(text));
    this.#wake?.();
  }

  async next(): Promise<IteratorResult<Uint8Array>> {
    while (this.#there.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve));
    const chunk = this.#there.shift();
    if (!chunk) return { done: true, value: undefined };
    this.taken++;
    return { done: false, value: chunk };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

async function messageOf(action: Promise<unknown>): Promise<string> {
  try {
    await action;
  } catch (error) {
    return String(error);
  }
  return 'no error';
}

test('lines: the same however the bytes are cut', async (t) => {
  const cases: [text: string, lines: string[]][] = [
    ['', []],
    ['\n', ['']],
    ['a', ['a']],
    ['a\n', ['a']],
    ['a\r\n\r\nb\r', ['a', '', 'b']],
    ['\n\n麦蚜\r\r\n🎷 b\n\nc', ['', '', '麦蚜\r', '🎷 b', '', 'c']],
    ['\ufeffa\n\ufeffb\n', ['a', '\ufeffb']],
    ['\u2028 and \u0085 end no line\n', ['\u2028 and \u0085 end no line']],
  ];
  for (const [text, expected] of cases)
    for (const size of [1, 2, 3, 7, 1000]) {
      const all = await new Lines(inChunks(bytesOf(text), size), 'f').rest();
      t.deepEqual(all, expected, `${JSON.stringify(text)} in chunks of ${size}`);
      const later = new Lines(inChunks(bytesOf(text), size), 'f');
      t.equal(await later.skip(2), Math.min(2, expected.length));
      t.deepEqual(await later.rest(), expected.slice(2), 'the first two passed over');
    }
});

test('lines: as many as are asked for, and put back', async (t) => {
  const lines = new Lines(inChunks(bytesOf('a\nb\nc\nd\n'), 3), 'f');
  t.deepEqual(await lines.next(2), ['a', 'b']);
  lines.putBack(['a', 'b']);
  t.equal(await lines.skip(1), 1);
  t.deepEqual(await lines.next(2), ['b', 'c']);
  t.deepEqual(await lines.next(2), ['d']);
  t.deepEqual(await lines.next(2), []);

  const long = 'x'.repeat(200_000);
  const texts = new Lines(inChunks(bytesOf(`${long}\n${long}\n${long}\n`), 65_536), 'f');
  t.deepEqual(
    [await texts.next(9), await texts.next(9)],
    [[long, long], [long]],
    'few of them where they are long',
  );
});

test('lines: what has come is given before more comes', async (t) => {
  const stream = new Fed();
  const lines = new Lines(stream, 'f');
  stream.give('one\ntw');
  t.deepEqual(await lines.next(10), ['one'], 'without the end of the second');
  const next = lines.next(10);
  stream.give('o\n');
  t.deepEqual(await next, ['two']);
  stream.give('three\n');
  stream.give('four\nfive');
  t.deepEqual(await lines.next(10), ['three', 'four'], 'together, since both are there');
  stream.give();
  t.deepEqual([await lines.next(10), await lines.next(10)], [['five'], []]);

  const many = new Fed();
  for (let i = 0; i < 20; i++) many.give('a\nb\n');
  const few = new Lines(many, 'f');
  await few.next(3);
  t.equal(many.taken, 2, 'no more is read than is asked for');
});

test('lines: an error comes after the lines before it', async (t) => {
  const bad = Buffer.concat([bytesOf('\ufeffé\nb\n'), Buffer.from([0x52, 0xe9]), bytesOf('\nc\n')]);
  for (const size of [2, 100]) {
    const lines = new Lines(inChunks(bad, size), 'notes.txt');
    t.deepEqual(await lines.next(10), ['é', 'b']);
    t.match(
      await messageOf(lines.next(10)),
      /^InputError: notes\.txt: not UTF-8 at byte 9 \(0xe9\), in line 3$/,
    );
    t.match(await messageOf(lines.next(10)), /byte 9/, 'and stays');
    const later = new Lines(inChunks(bad, size), 'notes.txt');
    await later.skip(3);
    t.deepEqual(await later.rest(), ['c'], 'what is passed over may be anything');
  }
  async function* torn(): AsyncGenerator<Uint8Array> {
    yield bytesOf('a\nb');
    throw new Error('torn');
  }
  const lines = new Lines(torn(), 'f');
  t.deepEqual(await lines.next(10), ['a'], 'a line that has no end yet is none');
  t.equal(await messageOf(lines.next(10)), 'Error: torn');
});
