import { readFileSync } from 'node:fs';
import test from 'tape';
import { InputError } from '../../kernels/errors.ts';
import {
  decodeStored,
  headerLength,
  parseHeader,
  parseSafetensors,
  parseTensors,
  serializeSafetensors,
  widened,
  type HostTensor,
} from '../../src/io/safetensors.ts';

const fixtures = 'test/fixtures/safetensors';
const bytesOf = (file: string) => new Uint8Array(readFileSync(`${fixtures}/${file}`));

/** A file with the given header (text or JSON value) and data. */
function fileOf(header: unknown, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  const json = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  bytes.set(data, 8 + json.length);
  return bytes;
}

/** The message of the InputError that `action` throws; anything else thrown fails the test that asked. */
function messageOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof InputError) return error.message;
    throw error;
  }
  return 'no error';
}

const entry = (dtype: unknown, shape: unknown, offsets: unknown) => ({ dtype, shape, data_offsets: offsets });
const f32 = (values: number[], shape: number[] = [values.length]): HostTensor => ({
  shape,
  dtype: 'f32',
  data: new Float32Array(values),
});

test('a file made by PyTorch: every dtype, unaligned tensors, a scalar, empty tensors', (t) => {
  const expected: Record<string, { shape: number[]; dtype: string; values: (number | string)[] }> =
    JSON.parse(readFileSync(`${fixtures}/expected.json`, 'utf8'));
  const bytes = bytesOf('stored.safetensors');
  // The same file at all four alignments in memory, and as a Node Buffer, whose slice() does not copy.
  const shifted = [1, 2, 3].map((shift) => {
    const larger = new Uint8Array(bytes.length + shift);
    larger.set(bytes, shift);
    return larger.subarray(shift);
  });
  for (const file of [bytes, ...shifted, readFileSync(`${fixtures}/stored.safetensors`)]) {
    const { tensors, metadata } = parseSafetensors(file, 'stored');
    t.deepEqual([...tensors.keys()].sort(), Object.keys(expected).sort(), 'the names');
    t.deepEqual(metadata, { format: 'pt', note: 'spans, relations · 片段' }, 'the metadata');
    const wrong: string[] = [];
    for (const [name, { shape, dtype, values }] of Object.entries(expected)) {
      const tensor = tensors.get(name)!;
      const numbers = values.map((v) => (typeof v === 'string' ? Number(v.replace('inf', 'Infinity')) : v));
      const same =
        tensor.dtype === dtype &&
        JSON.stringify(tensor.shape) === JSON.stringify(shape) &&
        tensor.data.length === numbers.length &&
        numbers.every((value, i) => Object.is(tensor.data[i], value));
      if (!same) wrong.push(name);
    }
    t.deepEqual(wrong, [], 'shape, dtype and values, bit for bit');
  }
  t.end();
});

test('the writer gives the bytes that PyTorch wrote, and what it writes is read back', (t) => {
  const { tensors, metadata } = parseSafetensors(bytesOf('stored.safetensors'), 'stored');
  const written = serializeSafetensors(tensors, metadata);
  t.ok(Buffer.from(written).equals(bytesOf('widened.safetensors')), 'equal to widened.safetensors');
  t.equal(headerLength(written, written.length, 'written') % 8, 0, 'the data begins at a multiple of 8');
  const again = parseSafetensors(written, 'written');
  t.deepEqual([...again.tensors.keys()], [...tensors.keys()], 'the order is kept');
  t.ok(Buffer.from(serializeSafetensors(again.tensors, again.metadata)).equals(written), 'a fixed point');
  t.end();
});

test('F16 that stay f16 are written with the same bits', (t) => {
  const stored = parseTensors(bytesOf('stored.safetensors'), 'stored', decodeStored).tensors;
  const halves = [...stored].filter(([, { dtype }]) => dtype === 'f16');
  t.ok(halves.length > 0);
  const written = serializeSafetensors(halves);
  t.deepEqual([...parseTensors(written, 'written', decodeStored).tensors], halves);
  const values = parseSafetensors(bytesOf('stored.safetensors'), 'stored').tensors;
  for (const [name, tensor] of halves) t.deepEqual(widened(tensor), values.get(name), name);
  t.end();
});

test('edges of the writer: nothing at all, views, hostile names', (t) => {
  const empty = parseSafetensors(serializeSafetensors([]), 'empty');
  t.equal(empty.tensors.size, 0, 'no tensors');
  t.deepEqual(empty.metadata, {}, 'no metadata');
  const part: HostTensor = { shape: [2], dtype: 'i32', data: new Int32Array([1, 2, 3, 4]).subarray(1, 3) };
  const named: [string, HostTensor][] = [
    ['b', part],
    ['10', f32([1])],
    ['9', f32([2])],
    ['__proto__', f32([], [0])],
    ['constructor', f32([3], [])],
    ['a\ud800"\n', f32([4])],
  ];
  const { tensors } = parseSafetensors(serializeSafetensors(named, { ['__proto__']: 'x' }), 'names');
  t.deepEqual(
    [...tensors.keys()],
    ['b', '10', '9', '__proto__', 'constructor', 'a\ud800"\n'],
    'names in order',
  );
  t.deepEqual([...tensors.get('b')!.data], [2, 3], 'a view is written as the view, not its buffer');
  t.equal(({} as Record<string, unknown>).x, undefined, 'no prototype is touched');
  t.end();
});

test('aligned tensors are views, others copies', (t) => {
  const bytes = serializeSafetensors([['x', f32([1, 2])]]);
  const view = parseSafetensors(bytes, 'aligned').tensors.get('x')!;
  t.equal(view.data.buffer, bytes.buffer, 'shares the memory of the file');
  const odd = new Uint8Array(bytes.length + 1);
  odd.set(bytes, 1);
  const copy = parseSafetensors(odd.subarray(1), 'unaligned').tensors.get('x')!;
  t.notEqual(copy.data.buffer, odd.buffer, 'has its own');
  t.deepEqual([...copy.data], [1, 2]);
  t.end();
});

test('the writer refuses what it cannot write', (t) => {
  const cases: [RegExp, [string, HostTensor][]][] = [
    [
      /"a" is taken/,
      [
        ['a', f32([1])],
        ['a', f32([2])],
      ],
    ],
    [/"__metadata__" is taken or reserved/, [['__metadata__', f32([1])]]],
    [/"a": shape \[2,2\], 3 elements/, [['a', f32([1, 2, 3], [2, 2])]]],
    [/"a": shape \[-1,-1\]/, [['a', f32([1], [-1, -1])]]],
    [/"a": dtype i32, data Float32Array/, [['a', { ...f32([1]), dtype: 'i32' }]]],
  ];
  for (const [pattern, tensors] of cases)
    t.match(
      messageOf(() => serializeSafetensors(tensors)),
      pattern,
    );
  t.end();
});

test('every corruption is one line that names the file and the fault', (t) => {
  const eight = new Uint8Array(8);
  const one = (dtype: unknown, shape: unknown, offsets: unknown) =>
    fileOf({ x: entry(dtype, shape, offsets) }, eight);
  const whole = serializeSafetensors([['x', f32([1, 2])]]);
  const huge = fileOf('{}');
  new DataView(huge.buffer).setBigUint64(0, 2n ** 64n - 1n, true);
  const x = '{"dtype":"F32","shape":[2],"data_offsets":[0,8]}';
  const cases: [string, RegExp, Uint8Array][] = [
    ['empty', /0 bytes are too short/, new Uint8Array(0)],
    ['seven bytes', /7 bytes are too short/, new Uint8Array(7)],
    ['header beyond the file', /a header of \d+ bytes goes beyond the file's 10 bytes/, huge],
    ['truncated data', /tensor "x": data_offsets \[0,8\] go beyond the 7 bytes/, whole.subarray(0, -1)],
    ['trailing bytes', /1 trailing bytes/, new Uint8Array([...whole, 0])],
    ['empty header', /not valid JSON/, fileOf('')],
    ['not JSON', /not valid JSON/, fileOf('{"x":\n}')],
    ['not UTF-8', /not valid JSON/, new Uint8Array([4, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0xff, 0x7d, 0x20])],
    [
      'deeply nested',
      /tensor "x": its header entry is not an object|not valid JSON/,
      fileOf(`{"x":${'['.repeat(1e5)}${']'.repeat(1e5)}}`),
    ],
    ['an array', /not a JSON object/, fileOf('[]')],
    ['null', /not a JSON object/, fileOf('null')],
    ['leading space', /not a JSON object that opens with \{/, fileOf(' {}')],
    ['metadata', /__metadata__ is not an object/, fileOf({ __metadata__: 'pt' })],
    ['metadata value', /__metadata__ entry "a" is not a string/, fileOf({ __metadata__: { a: 1 } })],
    ['entry', /tensor "x": its header entry is not an object/, fileOf({ x: null })],
    ['no dtype', /tensor "x": no dtype/, one(undefined, [2], [0, 8])],
    ['inherited dtype', /tensor "x": no dtype/, fileOf(`{"x":{"__proto__":${x}}}`, eight)],
    ['no shape', /tensor "x": no shape/, one('F32', undefined, [0, 8])],
    ['no offsets', /tensor "x": no data_offsets/, one('F32', [2], undefined)],
    [
      'F64',
      /tensor "x": dtype "F64" is not supported \(F32, I32, I64, F16, BF16 are\)/,
      one('F64', [1], [0, 8]),
    ],
    ['BOOL', /tensor "x": dtype "BOOL" is not supported/, one('BOOL', [8], [0, 8])],
    ['U8', /tensor "x": dtype "U8" is not supported/, one('U8', [8], [0, 8])],
    ['inherited name as dtype', /dtype "toString" is not supported/, one('toString', [2], [0, 8])],
    ['number as dtype', /dtype 32 is not supported/, one(32, [2], [0, 8])],
    ['negative dim', /shape \[-2\] is not a list of non-negative integers/, one('F32', [-2], [0, 8])],
    ['fractional dim', /shape \[0.5,4\] is not/, one('F32', [0.5, 4], [0, 8])],
    ['text as dim', /shape \["2"\] is not/, one('F32', ['2'], [0, 8])],
    ['shape a number', /shape 2 is not/, one('F32', 2, [0, 8])],
    ['huge dim', /shape \[1e\+300\] is not/, one('F32', [1e300], [0, 8])],
    ['huge product', /shape \[4294967296,4294967296\] is too large/, one('F32', [2 ** 32, 2 ** 32], [0, 8])],
    ['wrong count', /shape \[3\] of F32 takes 12 bytes, data_offsets hold 8/, one('F32', [3], [0, 8])],
    ['negative offset', /data_offsets \[-8,0\] are not two non-negative integers/, one('F32', [2], [-8, 0])],
    ['fractional offset', /data_offsets \[0.5,8.5\] are not/, one('F32', [2], [0.5, 8.5])],
    ['three offsets', /data_offsets \[0,4,8\] are not two/, one('F32', [2], [0, 4, 8])],
    ['begin > end', /data_offsets \[8,0\] end before they begin/, one('F32', [2], [8, 0])],
    ['beyond the data', /data_offsets \[4,12\] go beyond the 8 bytes of data/, one('F32', [2], [4, 12])],
    ['unaligned, so a hole', /3 bytes before tensor "x" are in no tensor/, one('F32', [1], [3, 7])],
    [
      'hole',
      /4 bytes before tensor "y"/,
      fileOf({ y: entry('F32', [0], [8, 8]), x: entry('F32', [1], [0, 4]) }, eight),
    ],
    [
      'overlap',
      /tensors "x" and "y" overlap/,
      fileOf({ x: entry('F32', [2], [0, 8]), y: entry('F32', [1], [4, 8]) }, eight),
    ],
    [
      'the same bytes twice',
      /overlap/,
      fileOf({ x: entry('F32', [2], [0, 8]), y: entry('F32', [2], [0, 8]) }, eight),
    ],
    ['duplicate name', /the header has the key "x" twice/, fileOf(`{"x":${x} , "\\u0078" : ${x}}`, eight)],
    ['duplicate field', /has the key "dtype" twice/, fileOf(`{"x":{"dtype":"F16",${x.slice(1)}}`, eight)],
    [
      'I64 out of range',
      /tensor "x": element 0 is 2147483648, which int32/,
      fileOf({ x: entry('I64', [1], [0, 8]) }, new Uint8Array(new BigInt64Array([2n ** 31n]).buffer)),
    ],
    ['a name of two lines', /tensor "a\\n\?b": no dtype/, fileOf({ 'a\n\u2028b': {} })],
    ['a very long name', /tensor "a{119}…: no dtype/, fileOf({ ['a'.repeat(9999)]: {} })],
  ];
  for (const [label, pattern, bytes] of cases) {
    const message = messageOf(() => parseSafetensors(bytes, 'dir/m.safetensors'));
    t.ok(
      pattern.test(message) && message.startsWith('dir/m.safetensors: ') && !message.includes('\n'),
      `${label}: ${message}`,
    );
  }
  t.end();
});

test('a header above 100 MB is refused before it is read, and sizes above 4 GiB are exact', (t) => {
  const start = new Uint8Array(8);
  new DataView(start.buffer).setBigUint64(0, 100_000_001n, true);
  t.match(
    messageOf(() => headerLength(start, 2 ** 40, 'm')),
    /larger than 100000000 bytes/,
  );
  const elements = 3 * 2 ** 30;
  const header = new TextEncoder().encode(JSON.stringify({ x: entry('F32', [elements], [0, 4 * elements]) }));
  const fileBytes = 8 + header.length + 4 * elements;
  t.equal(parseHeader(header, fileBytes, 'm').entries[0].end, fileBytes, '12 GiB');
  t.match(
    messageOf(() => parseHeader(header, fileBytes + 1, 'm')),
    /1 trailing bytes/,
  );
  t.end();
});

test('int64 at the edges of int32', (t) => {
  const i64 = (value: bigint) =>
    fileOf({ x: entry('I64', [2], [0, 16]) }, new Uint8Array(new BigInt64Array([0n, value]).buffer));
  for (const value of [2n ** 31n - 1n, -(2n ** 31n), -1n])
    t.equal(parseSafetensors(i64(value), 'm').tensors.get('x')!.data[1], Number(value), String(value));
  for (const value of [2n ** 31n, -(2n ** 31n) - 1n, 2n ** 32n, 2n ** 63n - 1n, -(2n ** 63n)])
    t.match(
      messageOf(() => parseSafetensors(i64(value), 'm')),
      new RegExp(`element 1 is ${value},`),
    );
  t.end();
});
