import { InputError } from '../../../kernels/errors.ts';
import { decodeUtf8 } from '../../io/utf8.ts';
import type { Json } from '../../io/json.ts';

/** Field numbers and values of SentencePiece's protocol buffer that say what is read here. */
const MODEL = { pieces: 1, trainer: 2, normalizer: 3 };
const PIECE = { text: 1, score: 2, type: 3 };
const TRAINER = { modelType: 3, byteFallback: 35 };
const NORMALIZER = { name: 1, addDummyPrefix: 3, removeExtraWhitespaces: 4, escapeWhitespaces: 5 };
const UNIGRAM = 1;
const NORMAL = 1;
const UNKNOWN = 2;

/** SentencePiece's rules, by whether they fold case; the characters that they map are those of NFKC but for a few. */
const rules: Readonly<Record<string, { maps: boolean; folds: boolean }>> = {
  identity: { maps: false, folds: false },
  nfkc: { maps: true, folds: false },
  nmt_nfkc: { maps: true, folds: false },
  nfkc_cf: { maps: true, folds: true },
  nmt_nfkc_cf: { maps: true, folds: true },
};

/** Fields of one message: numbers, and bytes for texts, floats and messages within. */
type Message = Map<number, (number | Uint8Array)[]>;

/** How ALBERT treats case and accents. */
export interface Casing {
  doLowerCase: boolean;
  keepAccents: boolean;
}

/**
 * The `tokenizer.json` that a SentencePiece model amounts to. As ALBERT uses it (`spiece.model`): quotes of two marks
 * become one, accents go unless they are kept, then lower case where asked for, then the model's own normalisation. As
 * XLM-RoBERTa does (`sentencepiece.bpe.model`): the model's own normalisation alone; its ids are fairseq's, <s>, <pad>,
 * </s>, <unk>, then the pieces behind the model's own three, then <mask>. Unigram models alone.
 * @param what names the file in errors
 * @throws InputError for bytes that are no such model, another kind of model, and settings that are not followed
 */
export function sentencePieceDefinition(
  bytes: Uint8Array,
  casing: Casing | 'xlm-roberta',
  what: string,
): Json {
  const model = message(bytes, what);
  const trainer = message(bytesOf(model, MODEL.trainer), what);
  if (numberOf(trainer, TRAINER.modelType, UNIGRAM) !== UNIGRAM || numberOf(trainer, TRAINER.byteFallback, 0))
    throw new InputError(
      `${what}: only unigram models without byte fallback are supported; give a tokenizer.json`,
    );
  const vocab: [string, number][] = [];
  let unknown = -1;
  for (const entry of model.get(MODEL.pieces) ?? []) {
    const piece = message(entry, what);
    const text = decodeUtf8(bytesOf(piece, PIECE.text), what);
    const score = piece.get(PIECE.score)?.[0];
    if (numberOf(piece, PIECE.type, NORMAL) === UNKNOWN) unknown = vocab.length;
    vocab.push([text, score instanceof Uint8Array ? floatOf(score) : 0]);
  }
  if (unknown < 0)
    throw new InputError(`${what}: not a SentencePiece model: no piece stands for the unknown`);
  if (casing === 'xlm-roberta') {
    if (vocab.slice(0, 3).some(([text]) => !/^<.*>$/.test(text)))
      throw new InputError(`${what}: does not begin with <unk>, <s> and </s>, as XLM-RoBERTa's models do`);
    const named = (...names: string[]) => names.map((name): [string, number] => [name, 0]);
    vocab.splice(0, 3, ...named('<s>', '<pad>', '</s>', '<unk>'));
    vocab.push(...named('<mask>'));
    unknown = 3;
  }
  return {
    version: '1.0',
    added_tokens: [],
    normalizer: { type: 'Sequence', normalizers: normalizers(model, casing, what) },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [{ type: 'WhitespaceSplit' }, { type: 'Metaspace', replacement: '▁' }],
    },
    post_processor: null,
    decoder: { type: 'Metaspace', replacement: '▁' },
    model: { type: 'Unigram', unk_id: unknown, vocab },
  };
}

function normalizers(model: Message, casing: Casing | 'xlm-roberta', what: string): Json[] {
  const spec = message(bytesOf(model, MODEL.normalizer), what);
  for (const key of ['addDummyPrefix', 'removeExtraWhitespaces', 'escapeWhitespaces'] as const)
    if (!numberOf(spec, NORMALIZER[key], 1))
      throw new InputError(`${what}: ${key} is off, which is not supported; give a tokenizer.json`);
  const name = decodeUtf8(bytesOf(spec, NORMALIZER.name), what) || 'identity';
  if (!Object.hasOwn(rules, name))
    throw new InputError(
      `${what}: the normalisation ${JSON.stringify(name)} is not one of ${Object.keys(rules).join(', ')}`,
    );
  const { maps, folds } = rules[name];
  const own = maps ? [{ type: 'Precompiled' }] : [];
  if (casing === 'xlm-roberta') return [...(folds ? [{ type: 'Lowercase' }] : []), ...own];
  const { doLowerCase, keepAccents } = casing;
  return [
    { type: 'Replace', pattern: { String: '``' }, content: '"' },
    { type: 'Replace', pattern: { String: "''" }, content: '"' },
    ...(keepAccents ? [] : [{ type: 'NFKD' }, { type: 'StripAccents' }]),
    ...(doLowerCase || folds ? [{ type: 'Lowercase' }] : []),
    ...own,
  ];
}

/** Splits a message into its fields. Errors: InputError where it is cut off or of no wire type in use. */
function message(bytes: number | Uint8Array, what: string): Message {
  const broken = () => new InputError(`${what}: not a SentencePiece model`);
  if (typeof bytes === 'number') throw broken();
  const fields: Message = new Map();
  let at = 0;
  /** Little-endian groups of 7 bits; beyond 2^53 (only negative numbers are) inexact. */
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      if (at >= bytes.length || scale > 2 ** 63) throw broken();
      const byte = bytes[at++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  const take = (length: number): Uint8Array => {
    if (at + length > bytes.length) throw broken();
    return bytes.subarray(at, (at += length));
  };
  while (at < bytes.length) {
    const tag = varint();
    const readers: Readonly<Record<number, () => number | Uint8Array>> = {
      0: varint,
      1: () => take(8),
      2: () => take(varint()),
      5: () => take(4),
    };
    const read = readers[tag % 8];
    if (!read) throw broken();
    const field = Math.floor(tag / 8);
    const value = read();
    const values = fields.get(field);
    if (values) values.push(value);
    else fields.set(field, [value]);
  }
  return fields;
}

/** The last value of a field, as the format asks; none is none. */
function bytesOf(from: Message, field: number): Uint8Array {
  const value = from.get(field)?.at(-1);
  return value instanceof Uint8Array ? value : new Uint8Array();
}

function numberOf(from: Message, field: number, absent: number): number {
  const value = from.get(field)?.at(-1);
  return typeof value === 'number' ? value : absent;
}

const floatOf = (bytes: Uint8Array): number =>
  bytes.length === 4 ? new DataView(bytes.buffer, bytes.byteOffset, 4).getFloat32(0, true) : 0;
