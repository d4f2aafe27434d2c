// The safetensors format: u64 little-endian header length, a JSON header, the tensors' bytes side by side.
// Browser-safe; src/io/files.ts reads and writes files of any size with the same pieces. Typed-array views assume a
// little-endian host, as every host of WebGPU is.
import { InputError } from '../../kernels/errors.ts';
import { narrowToHalves, widenHalves } from './half.ts';
import { refuseLookAlikes } from './look-alikes.ts';
import { repeatedKey } from './json.ts';

/** A tensor in host memory, row-major; a scalar has shape []. `data` is a Float32Array exactly when dtype is 'f32'. */
export interface HostTensor {
  shape: readonly number[];
  dtype: 'f32' | 'i32';
  data: Float32Array | Int32Array;
}

/** A tensor as files and devices hold it: f16 as their bits. */
export type StoredTensor = HostTensor | { shape: readonly number[]; dtype: 'f16'; data: Uint16Array };

/** Its values: f16 as f32, exactly. */
export const widened = (tensor: StoredTensor): HostTensor =>
  tensor.dtype === 'f16' ? hostTensor(tensor.shape, widenHalves(tensor.data)) : tensor;

/** f32 as f16, to the nearest; others as they are. */
export const narrowed = (tensor: StoredTensor): StoredTensor =>
  tensor.data instanceof Float32Array
    ? { shape: tensor.shape, dtype: 'f16', data: narrowToHalves(tensor.data) }
    : tensor;

/** Values as a tensor. */
export const hostTensor = (shape: readonly number[], data: Float32Array | Int32Array): HostTensor => ({
  shape,
  dtype: data instanceof Int32Array ? 'i32' : 'f32',
  data,
});

/** What a safetensors file holds; the tensors in the order of their bytes. */
export interface Safetensors<T = HostTensor> {
  tensors: Map<string, T>;
  metadata: Record<string, string>;
}

const bytesPerElement = { F32: 4, I32: 4, I64: 8, F16: 2, BF16: 2 } as const;
type StoredDtype = keyof typeof bytesPerElement;
const isStored = (dtype: string): dtype is StoredDtype => Object.hasOwn(bytesPerElement, dtype);

/** Which tensors of a file to read, out of all their names. */
export type Select = (names: readonly string[]) => ReadonlySet<string>;

/** Where one tensor lies: bytes `begin`..`end` (exclusive) counted from the start of the file. */
export interface TensorEntry {
  name: string;
  /** As the file says it; what is not supported is refused when it is decoded. */
  dtype: string;
  shape: number[];
  begin: number;
  end: number;
}

/** Bytes before the JSON header: its length as u64. */
export const lengthBytes = 8;

/** The reference implementation's limit, so that a hostile length cannot make a reader allocate without bound. */
const maxHeaderBytes = 100_000_000;

/** A name or value from a file, shortened and escaped so that a message stays one readable line. */
function quote(value: unknown): string {
  const text = JSON.stringify(value) ?? 'undefined';
  const short = text.length > 120 ? `${text.slice(0, 120)}…` : text;
  return short.replace(/[\u007f-\u009f\u2028\u2029]/g, '?');
}

/**
 * Reads safetensors `bytes`; `what` (a path) opens every message. F32 and I32 are read as they are, I64 is narrowed
 * to i32 (a value out of range is an error), F16 and BF16 are widened to f32 exactly; other dtypes are refused.
 * Ownership: F32 and I32 tensors that lie 4-byte aligned in memory are views of `bytes` (no copy), so the caller must
 * not change or reuse `bytes` while they are in use; all others are copies.
 * @param select the tensors to read, all when absent: the others' dtypes do not matter
 * @throws InputError for every file that breaks the format, naming `what`, the tensor and the fault.
 */
export const parseSafetensors = (bytes: Uint8Array, what: string, select?: Select): Safetensors =>
  parseTensors(bytes, what, decodeTensor, select);

/** As `parseSafetensors`, each tensor as `decode` makes it: `decodeStored` leaves F16 as f16. */
export function parseTensors<T>(
  bytes: Uint8Array,
  what: string,
  decode: Decode<T>,
  select?: Select,
): Safetensors<T> {
  const headerEnd = lengthBytes + headerLength(bytes, bytes.length, what);
  const { entries, metadata } = parseHeader(bytes.subarray(lengthBytes, headerEnd), bytes.length, what);
  const tensors = new Map<string, T>();
  for (const entry of selected(entries, select))
    tensors.set(entry.name, decode(entry, bytes.subarray(entry.begin, entry.end), what));
  return { tensors, metadata };
}

/** The entries of the tensors that are to be read. */
export function selected(
  entries: readonly TensorEntry[],
  select: Select | undefined,
): readonly TensorEntry[] {
  const names = select?.(entries.map(({ name }) => name));
  return names ? entries.filter(({ name }) => names.has(name)) : entries;
}

/**
 * The length in bytes of the JSON header of a file of `fileBytes` bytes, of which `start` holds the first 8 or more.
 * @throws InputError when the file is too short for it, is of another format by its `start`, or the header exceeds 100 MB.
 */
export function headerLength(start: Uint8Array, fileBytes: number, what: string): number {
  if (fileBytes < lengthBytes)
    throw new InputError(`${what}: ${fileBytes} bytes are too short for a safetensors file`);
  const length = Number(new DataView(start.buffer, start.byteOffset, lengthBytes).getBigUint64(0, true));
  if (length > fileBytes - lengthBytes) refuseLookAlikes(start, what);
  if (length > fileBytes - lengthBytes)
    throw new InputError(`${what}: a header of ${length} bytes goes beyond the file's ${fileBytes} bytes`);
  if (length > maxHeaderBytes)
    throw new InputError(`${what}: a header of ${length} bytes is larger than ${maxHeaderBytes} bytes`);
  return length;
}

/**
 * Parses the JSON header (`header`: its bytes alone) of a file of `fileBytes` bytes and checks all that can be checked
 * without the data: every byte after the header belongs to exactly one tensor. Entries come in the order of their bytes.
 * @throws InputError as `parseSafetensors`.
 */
export function parseHeader(
  header: Uint8Array,
  fileBytes: number,
  what: string,
): { entries: TensorEntry[]; metadata: Record<string, string> } {
  const dataStart = lengthBytes + header.length;
  const entries: TensorEntry[] = [];
  let metadata: Record<string, string> = {};
  // JSON.parse defines a key such as `__proto__` as an own property, so Object.entries sees it as any other name.
  for (const [name, value] of Object.entries(parseJsonObject(header, what))) {
    if (name === '__metadata__') metadata = checkMetadata(value, what);
    else entries.push(checkEntry(name, value, dataStart, fileBytes, what));
  }
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let position = dataStart;
  for (const [i, { name, begin, end }] of entries.entries()) {
    if (begin < position)
      throw new InputError(`${what}: tensors ${quote(entries[i - 1].name)} and ${quote(name)} overlap`);
    if (begin > position)
      throw new InputError(
        `${what}: ${begin - position} bytes before tensor ${quote(name)} are in no tensor`,
      );
    position = end;
  }
  if (position < fileBytes)
    throw new InputError(`${what}: ${fileBytes - position} trailing bytes after the last tensor`);
  return { entries, metadata };
}

/** The header as an object with unique keys; the format demands that it opens with `{`. */
function parseJsonObject(header: Uint8Array, what: string): object {
  let text: string;
  let parsed: object;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(header);
    parsed = JSON.parse(text);
  } catch {
    throw new InputError(`${what}: the header is not valid JSON`);
  }
  if (!text.startsWith('{'))
    throw new InputError(`${what}: the header is not a JSON object that opens with {`);
  const duplicate = repeatedKey(text)?.key;
  if (duplicate !== undefined)
    throw new InputError(`${what}: the header has the key ${quote(duplicate)} twice`);
  return parsed;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);
}

function checkMetadata(value: unknown, what: string): Record<string, string> {
  if (!isObject(value)) throw new InputError(`${what}: __metadata__ is not an object`);
  for (const [key, text] of Object.entries(value))
    if (typeof text !== 'string')
      throw new InputError(`${what}: __metadata__ entry ${quote(key)} is not a string`);
  return value as Record<string, string>;
}

function checkEntry(
  name: string,
  value: unknown,
  dataStart: number,
  fileBytes: number,
  what: string,
): TensorEntry {
  const fail = (fault: string): never => {
    throw new InputError(`${what}: tensor ${quote(name)}: ${fault}`);
  };
  if (!isObject(value)) return fail('its header entry is not an object');
  const { dtype, shape, data_offsets: offsets } = value;
  if (dtype === undefined) return fail('no dtype');
  if (typeof dtype !== 'string') return fail(notSupported(dtype));
  if (shape === undefined) return fail('no shape');
  if (!isCounts(shape)) return fail(`shape ${quote(shape)} is not a list of non-negative integers`);
  if (offsets === undefined) return fail('no data_offsets');
  if (!isCounts(offsets) || offsets.length !== 2)
    return fail(`data_offsets ${quote(offsets)} are not two non-negative integers`);
  const [begin, end] = offsets;
  if (begin > end) return fail(`data_offsets ${quote(offsets)} end before they begin`);
  if (dataStart + end > fileBytes)
    return fail(`data_offsets ${quote(offsets)} go beyond the ${fileBytes - dataStart} bytes of data`);
  let bytes: number = isStored(dtype) ? bytesPerElement[dtype] : 0;
  for (const dim of shape) {
    bytes *= dim;
    if (!Number.isSafeInteger(bytes)) return fail(`shape ${quote(shape)} is too large`);
  }
  if (isStored(dtype) && end - begin !== bytes)
    return fail(`shape ${quote(shape)} of ${dtype} takes ${bytes} bytes, data_offsets hold ${end - begin}`);
  return { name, dtype, shape, begin: dataStart + begin, end: dataStart + end };
}

const notSupported = (dtype: unknown): string =>
  `dtype ${quote(dtype)} is not supported (${Object.keys(bytesPerElement).join(', ')} are); convert it`;

/** Makes a tensor of its own bytes, `entry.end - entry.begin` of them. */
export type Decode<T> = (entry: TensorEntry, bytes: Uint8Array, what: string) => T;

/** One tensor, converted and aliased as `parseSafetensors` says; errors as those of `decodeStored`. */
export const decodeTensor: Decode<HostTensor> = (entry, bytes, what) =>
  widened(decodeStored(entry, bytes, what));

/**
 * One tensor as `decodeTensor` makes it, but that F16 stay f16.
 * @throws InputError for a dtype that is not supported, and an I64 value outside int32, naming tensor and element.
 */
export function decodeStored(entry: TensorEntry, bytes: Uint8Array, what: string): StoredTensor {
  const { shape, dtype } = entry;
  if (!isStored(dtype)) throw new InputError(`${what}: tensor ${quote(entry.name)}: ${notSupported(dtype)}`);
  // A format that allows a 2-byte tensor before a 4-byte one allows unaligned data: copied to a buffer of its own.
  // (Not `bytes.slice()`: for a Node Buffer that is a view.)
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes);
  const { buffer, byteOffset, length } = aligned;
  switch (dtype) {
    case 'F32':
      return { shape, dtype: 'f32', data: new Float32Array(buffer, byteOffset, length / 4) };
    case 'I32':
      return { shape, dtype: 'i32', data: new Int32Array(buffer, byteOffset, length / 4) };
    case 'I64':
      return {
        shape,
        dtype: 'i32',
        data: narrow(entry.name, new Int32Array(buffer, byteOffset, length / 4), what),
      };
    case 'F16':
      return { shape, dtype: 'f16', data: new Uint16Array(buffer, byteOffset, length / 2) };
    case 'BF16':
      return { shape, dtype: 'f32', data: widenBrain(new Uint16Array(buffer, byteOffset, length / 2)) };
  }
}

/** int64 given as (low, high) words → int32. */
function narrow(name: string, words: Int32Array, what: string): Int32Array {
  const out = new Int32Array(words.length / 2);
  for (let i = 0; i < out.length; i++) {
    const low = words[2 * i];
    const high = words[2 * i + 1];
    if (high !== low >> 31) {
      const value = (BigInt(high) << 32n) | BigInt(low >>> 0);
      throw new InputError(
        `${what}: tensor ${quote(name)}: element ${i} is ${value}, which int32 cannot hold`,
      );
    }
    out[i] = low;
  }
  return out;
}

/** bfloat16 → binary32: bfloat16 is its upper half. */
function widenBrain(halves: Uint16Array): Float32Array {
  const floats = new Float32Array(halves.length);
  const bits = new Uint32Array(floats.buffer);
  for (let i = 0; i < halves.length; i++) bits[i] = halves[i] << 16;
  return floats;
}

/** Named tensors in the order in which they are to be written; a Map is one. */
export type NamedTensors = Iterable<readonly [string, StoredTensor]>;

const arrays = { f32: Float32Array, i32: Int32Array, f16: Uint16Array } as const;

/**
 * The pieces of a safetensors file in order: the header, padded with spaces to a multiple of 8 bytes, then one piece per
 * tensor. Tensors keep the given order, so equal input gives equal bytes. Ownership: the tensors' pieces are views of
 * their `data`, so nothing is copied and a model of any size can be written piece by piece.
 * @throws InputError for a name that occurs twice or is `__metadata__`, and for data that does not fit shape or dtype.
 */
export function serializeSafetensorsPieces(
  tensors: NamedTensors,
  metadata: Record<string, string> = {},
): Uint8Array[] {
  // Built as text: an object would move integer-like names to the front and take `__proto__` for its prototype.
  const fields: string[] = [];
  if (Object.keys(metadata).length) fields.push(`"__metadata__":${JSON.stringify(metadata)}`);
  const names = new Set(['__metadata__']);
  const pieces: Uint8Array[] = [];
  let offset = 0;
  for (const [name, { shape, dtype, data }] of tensors) {
    if (names.has(name))
      throw new InputError(`safetensors: the tensor name ${quote(name)} is taken or reserved`);
    names.add(name);
    const elements = shape.reduce((product, dim) => product * dim, 1);
    if (!isCounts(shape) || data.length !== elements)
      throw new InputError(
        `safetensors: tensor ${quote(name)}: shape ${quote(shape)}, ${data.length} elements`,
      );
    if (!(data instanceof arrays[dtype]))
      throw new InputError(
        `safetensors: tensor ${quote(name)}: dtype ${dtype}, data ${data.constructor.name}`,
      );
    const end = offset + data.byteLength;
    const entry = { dtype: dtype.toUpperCase(), shape, data_offsets: [offset, end] };
    fields.push(`${JSON.stringify(name)}:${JSON.stringify(entry)}`);
    pieces.push(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    offset = end;
  }
  const json = new TextEncoder().encode(`{${fields.join(',')}}`);
  const header = new Uint8Array(lengthBytes + Math.ceil(json.length / 8) * 8).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(header.length - lengthBytes), true);
  header.set(json, lengthBytes);
  return [header, ...pieces];
}

/** A whole safetensors file as one array, a copy of the tensors' data; otherwise as `serializeSafetensorsPieces`. */
export function serializeSafetensors(
  tensors: NamedTensors,
  metadata: Record<string, string> = {},
): Uint8Array {
  const pieces = serializeSafetensorsPieces(tensors, metadata);
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let offset = 0;
  for (const piece of pieces) {
    bytes.set(piece, offset);
    offset += piece.length;
  }
  return bytes;
}
