/** Inputs that are almost right: seeded changes of JSON values, lines, bytes, safetensors and protocol buffers. */
import { mulberry32 } from '../tasks/text/random.ts';

/** Seeded choices: the same on every run. */
export class Dice {
  readonly #next: () => number;

  constructor(seed: number) {
    this.#next = mulberry32(seed);
  }

  /** From 0 to `below` - 1. */
  integer(below: number): number {
    return Math.floor(this.#next() * below);
  }

  /** True with the probability `p`. */
  chance(p: number): boolean {
    return this.#next() < p;
  }

  pick<T>(of: readonly T[]): T {
    return of[this.integer(of.length)];
  }
}

type Container = Record<string, unknown> | unknown[];
const isContainer = (value: unknown): value is Container => typeof value === 'object' && value !== null;

/** A copy of a JSON value. */
export const copyOf = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

/** Numbers at and past the ends of what is counted, stored and indexed. */
export const NUMBERS: readonly number[] = [
  ...[0, 1, 2, 3, 7, -1, -2, 0.5, -0.5, 1e-300, 255, 256, 65535, 65536, 1e6, 1e7, 1e9],
  ...[2 ** 24, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, 2 ** 53, 1e16, 1e21, 1e300, -1e300],
  ...[-(2 ** 31), -(2 ** 53)],
];

/** Texts that a terminal, an object, an expression or a file system takes for something else. */
const TEXTS: readonly string[] = [
  ...[
    '',
    ' ',
    '\t',
    '\n',
    '\r\n',
    '\0',
    'a',
    'é',
    '\u0301',
    '的',
    '𠮷',
    '👩‍🌾',
    '\ud83d',
    '\udc00',
    '\ufeff',
    '\u2028',
  ],
  ...['\u001b[2J\u001b[31mred', '\u009b31m', '\u202eright', '\u0007', '__proto__', 'constructor', 'toString'],
  ...[
    'hasOwnProperty',
    'length',
    '$&',
    '(?:',
    '[',
    '\\',
    '"',
    "'",
    '../x',
    '/',
    'O',
    'B-',
    'B-X',
    'null',
    'NaN',
    '-0',
  ],
  ...[
    '1e999',
    '0x10',
    '##',
    '[UNK]',
    '[PAD]',
    '<unk>',
    'x'.repeat(300),
    '的'.repeat(3000),
    'a b '.repeat(99),
    ']]}}',
  ],
];

function nested(depth: number, dice: Dice): unknown {
  let value: unknown = 1;
  for (let i = 0; i < depth; i++) value = dice.chance(0.5) ? [value] : { a: value };
  return value;
}

/** A value that nobody expects where it stands. */
export function strange(dice: Dice): unknown {
  const kinds: readonly (() => unknown)[] = [
    () => dice.pick(NUMBERS),
    () => dice.pick(NUMBERS),
    () => dice.pick(TEXTS),
    () => dice.pick(TEXTS),
    () => dice.pick([null, true, false]),
    () => dice.pick<unknown>([[], {}, [[]], [null], [{}], [1, 'a'], [[1, 2], [3]], { a: [] }]),
    () => ({
      [dice.pick(['toString', 'valueOf', 'toJSON', 'length', 'then', 'content'])]: dice.pick([null, 1e9]),
    }),
    () => JSON.parse('{"__proto__":{"type":"x","length":1}}') as unknown,
    () => Array.from({ length: dice.pick([2, 20, 500]) }, () => dice.pick<unknown>([0, 1, 'a', null])),
    () => nested(dice.pick([3, 30, 199, 250]), dice),
  ];
  return dice.pick(kinds)();
}

const withoutBigEnds = (text: string, dice: Dice): string =>
  text.slice(0, dice.integer(text.length + 1)) + text.slice(dice.integer(text.length + 1));

/** A value like the one that stood there. */
function altered(value: unknown, dice: Dice): unknown {
  if (typeof value === 'number')
    return dice.pick([
      value + 1,
      value - 1,
      -value,
      value * 2,
      value / 2,
      value * 1e9,
      String(value),
      [value],
    ]);
  if (typeof value === 'string')
    return dice.pick([
      ...[
        value + dice.pick(TEXTS),
        dice.pick(TEXTS) + value,
        withoutBigEnds(value, dice),
        value.toUpperCase(),
      ],
      ...[[value], Number(value), value.repeat(dice.pick([2, 2, 50]))],
    ]);
  if (typeof value === 'boolean') return dice.pick([!value, String(value), Number(value)]);
  return Array.isArray(value) ? Object.fromEntries(value.entries()) : [value];
}

/** Every container of a value and of what it holds. */
function containersOf(value: unknown, found: Container[] = []): Container[] {
  if (!isContainer(value)) return found;
  found.push(value);
  for (const item of Object.values(value)) containersOf(item, found);
  return found;
}

/** Objects take a key such as `__proto__` for an own one. */
function put(container: Container, key: string | number, value: unknown): void {
  Object.defineProperty(container, key, { value, enumerable: true, writable: true, configurable: true });
}

/** Makes one change in a value that is a container. */
function change(root: Container, dice: Dice): void {
  const containers = containersOf(root);
  const at = dice.pick(containers);
  const keys = Object.keys(at);
  if (keys.length === 0 || dice.chance(0.06)) {
    if (Array.isArray(at)) at.push(dice.chance(0.5) && keys.length > 0 ? at[0] : strange(dice));
    else
      put(
        at,
        dice.chance(0.5) ? dice.pick(TEXTS) : dice.pick(Object.keys(dice.pick(containers)).concat('id')),
        strange(dice),
      );
    return;
  }
  const key = dice.pick(keys);
  const value = (at as Record<string, unknown>)[key];
  const elsewhere = (): unknown => {
    const other = Object.values(dice.pick(containers));
    return other.length > 0 ? copyOf(dice.pick(other)) : {};
  };
  const changes: readonly (() => void)[] = [
    () => put(at, key, strange(dice)),
    () => put(at, key, strange(dice)),
    () => put(at, key, altered(value, dice)),
    () => put(at, key, altered(value, dice)),
    () => put(at, key, elsewhere()),
    () => (Array.isArray(at) ? void at.splice(Number(key), 1) : void delete at[key]),
    () => (Array.isArray(at) ? at.splice(Number(key), 0, copyOf(value)) : put(at, dice.pick(TEXTS), value)),
    () => (Array.isArray(at) ? void at.reverse() : put(at, key + dice.pick(['s', ' ', '_', '0']), value)),
  ];
  dice.pick(changes)();
}

/** Makes a list or a text of a value as long as it is in files that are large. */
function swell(root: Container, dice: Dice): void {
  const at = dice.pick(containersOf(root));
  const times = dice.pick([100, 100, 100, 5000]);
  if (Array.isArray(at)) {
    const items = at.slice(0, 4);
    for (let n = 0; n < times; n++) at.push(...items);
    return;
  }
  for (const [key, value] of Object.entries(at))
    if (typeof value === 'string') put(at, key, value.repeat(times));
}

/** A JSON value with one to four changes, or none at all; one in five hundred is large. */
export function mutateJson(value: unknown, dice: Dice): unknown {
  if (dice.chance(0.01)) return strange(dice);
  const root = copyOf(value);
  if (!isContainer(root)) return strange(dice);
  for (let n = dice.pick([0, 1, 1, 1, 2, 2, 4]); n > 0; n--) change(root, dice);
  if (dice.chance(0.002)) swell(root, dice);
  return root;
}

/** A text with characters taken out, put in, doubled or cut off. */
export function mutateText(text: string, dice: Dice): string {
  let changed = text;
  for (let n = 1 + dice.integer(3); n > 0; n--) {
    const at = dice.integer(changed.length + 1);
    const to = Math.min(changed.length, at + dice.pick([1, 1, 2, 8, 64]));
    changed = dice.pick<() => string>([
      () => changed.slice(0, at) + changed.slice(to),
      () => changed.slice(0, at) + dice.pick(TEXTS) + changed.slice(at),
      () => changed.slice(0, to) + changed.slice(at),
      () => (dice.chance(0.2) ? changed.slice(0, at) : changed),
      () =>
        changed.slice(0, at) +
        dice.pick(['{', '}', '[', ']', ',', ':', '"', '\\', '\n', '\t', ' ', '0']) +
        changed.slice(at),
    ])();
  }
  return changed;
}

/** The text of a JSON value: on one line, spread, or, of a list, an item a line; perhaps with changes of its letters. */
export function jsonText(value: unknown, dice: Dice): string {
  const written =
    Array.isArray(value) && dice.chance(0.4)
      ? value.map((item) => JSON.stringify(item) ?? 'null').join(dice.pick(['\n', '\n', '\r\n', '\n\n']))
      : JSON.stringify(value, null, dice.pick([0, 0, 1]));
  const text = (dice.chance(0.02) ? '\ufeff' : '') + written;
  return dice.chance(0.12) ? mutateText(text, dice) : text;
}

/** Lines left out, doubled, moved, joined, parted and changed. */
export function mutateLines(text: string, dice: Dice): string {
  const lines = text.split('\n');
  for (let n = dice.integer(4); n > 0; n--) {
    const at = dice.integer(lines.length);
    const line = lines[at] ?? '';
    dice.pick<() => void>([
      () => lines.splice(at, 1),
      () => lines.splice(at, 0, line),
      () => lines.splice(dice.integer(lines.length + 1), 0, ...lines.splice(at, 1)),
      () => lines.splice(at, 2, line + dice.pick(['', ' ', '\t']) + (lines[at + 1] ?? '')),
      () => (lines[at] = mutateText(line, dice)),
      () => (lines[at] = mutateText(line, dice)),
      () =>
        (lines[at] = line
          .split(/[\t ]/)
          .reverse()
          .join(dice.pick(['\t', ' ', '  ']))),
      () => lines.splice(at, 0, dice.pick(TEXTS)),
    ])();
  }
  return lines.join(dice.chance(0.04) ? '\r\n' : '\n');
}

/** Bytes turned, taken out, put in, doubled or cut off. */
export function mutateBytes(bytes: Uint8Array, dice: Dice): Uint8Array {
  let changed = Array.from(bytes);
  for (let n = 1 + dice.integer(3); n > 0; n--) {
    const at = dice.integer(changed.length + 1);
    const to = Math.min(changed.length, at + dice.pick([1, 1, 2, 4, 8, 40]));
    dice.pick<() => void>([
      () => at < changed.length && (changed[at] ^= 1 << dice.integer(8)),
      () => at < changed.length && (changed[at] = dice.pick([0, 1, 0x7f, 0x80, 0xff, dice.integer(256)])),
      () => changed.splice(at, to - at),
      () => changed.splice(at, 0, ...changed.slice(at, to)),
      () => changed.splice(at, 0, ...Array.from({ length: dice.pick([1, 4, 9]) }, () => dice.integer(256))),
      () => dice.chance(0.3) && (changed = changed.slice(0, at)),
    ])();
  }
  return Uint8Array.from(changed);
}

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

export function joinBytes(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** What a safetensors file is made of. */
export interface SafetensorsParts {
  header: Readonly<Record<string, unknown>>;
  data: Uint8Array;
}

/** The bytes of a file; `length`: what its first eight say of the header, where that is a lie. */
export function safetensorsBytes(header: string, data: Uint8Array, length?: number | bigint): Uint8Array {
  const json = utf8(header);
  const first = new Uint8Array(8);
  new DataView(first.buffer).setBigUint64(0, BigInt.asUintN(64, BigInt(length ?? json.length)), true);
  return joinBytes(first, json, data);
}

/** A file with changes in its header, in the order and length of its tensors, in its data or anywhere. */
export function mutateSafetensors({ header, data }: SafetensorsParts, dice: Dice): Uint8Array {
  const changed = mutateJson(header, dice);
  let text = JSON.stringify(changed) ?? '';
  if (dice.chance(0.08)) text = mutateText(text, dice);
  if (dice.chance(0.3)) text += ' '.repeat(dice.integer(9));
  const rest = dice.chance(0.15) ? mutateBytes(data, dice) : data;
  const lie = dice.chance(0.06)
    ? dice.pick<number | bigint>([
        0,
        1,
        text.length - 1,
        text.length + 1,
        1e8 + 1,
        2 ** 40,
        2n ** 63n,
        2n ** 64n - 1n,
      ])
    : undefined;
  const bytes = safetensorsBytes(text, rest, lie);
  return dice.chance(0.05) ? mutateBytes(bytes, dice) : bytes;
}

/** A field of a protocol buffer's message: a number, four or eight bytes, bytes, or a message within. */
export type ProtoField = [field: number, value: number | string | Uint8Array | ProtoField[]];

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return [...bytes, rest];
}

/** The bytes of a message; a Uint8Array of four stands for a float. */
export function protoBytes(fields: readonly ProtoField[]): Uint8Array {
  const bytes: number[] = [];
  for (const [field, value] of fields) {
    if (typeof value === 'number') bytes.push(...varint(8 * field), ...varint(value));
    else if (value instanceof Uint8Array && value.length === 4)
      bytes.push(...varint(8 * field + 5), ...value);
    else {
      const inner =
        typeof value === 'string' ? utf8(value) : value instanceof Uint8Array ? value : protoBytes(value);
      bytes.push(...varint(8 * field + 2), ...varint(inner.length), ...inner);
    }
  }
  return Uint8Array.from(bytes);
}

/** A message with fields left out, doubled, moved and changed, in it or in those within. */
export function mutateProto(fields: readonly ProtoField[], dice: Dice): ProtoField[] {
  const changed = [...fields];
  for (let n = dice.pick([0, 1, 1, 2]); n > 0; n--) {
    const at = dice.integer(changed.length);
    const [field, value] = changed[at] ?? [1, ''];
    dice.pick<() => void>([
      () => changed.splice(at, 1),
      () => changed.splice(at, 0, [field, value]),
      () => changed.splice(dice.integer(changed.length + 1), 0, ...changed.splice(at, 1)),
      () => (changed[at] = [dice.pick([1, 2, 3, 4, 35, 2 ** 20]), value]),
      () =>
        (changed[at] = [
          field,
          dice.pick<ProtoField[1]>([0, 1, 5, 2 ** 40, '', dice.pick(TEXTS), new Uint8Array(4)]),
        ]),
      () => (changed[at] = [field, Array.isArray(value) ? mutateProto(value, dice) : value]),
      () => (changed[at] = [field, Array.isArray(value) ? mutateProto(value, dice) : value]),
      () => (changed[at] = [field, typeof value === 'string' ? mutateText(value, dice) : value]),
    ])();
  }
  return changed;
}
