/** Readers of vocabularies: WordPiece's, tokenizer.json, byte-level BPE, SentencePiece. */
import { tokenizerFromFiles } from '../../src/tasks/text/from-files.ts';
import { sentencePieceDefinition } from '../../src/tasks/text/sentencepiece.ts';
import type { Piece, Tokenizer } from '../../src/tasks/text/tokenizer.ts';
import { complaintAbout, expectThat, type Target } from './campaign.ts';
import {
  jsonText,
  mutateBytes,
  mutateJson,
  mutateLines,
  mutateProto,
  protoBytes,
  type Dice,
  type ProtoField,
} from './mutations.ts';

const TEXTS = [
  'The reed-bed at Tolm, 2 états.',
  "İ ﬁ ``x'' 的水稻 👩‍🌾 [UNK] <mask>",
  '',
  ' \u00a0 ',
  'e\u0301\u0301a##b',
];

/** The pieces of a text; none where they cannot be laid along it, which is refused text by text. */
function encoded(tokenizer: Tokenizer, text: string): readonly Piece[] {
  try {
    return tokenizer.encode(text);
  } catch (error) {
    const complaint = complaintAbout(error);
    if (complaint !== undefined) throw new Error(`${JSON.stringify(text)}: ${complaint}`, { cause: error });
    return [];
  }
}

/**
 * A tokenizer that was read parts texts, each piece in its place.
 * @param whole more of them; and it loads again, as the same, from the files that it gives
 */
function checkTokenizer(tokenizer: Tokenizer, whole: boolean): void {
  const { padId, unkId, clsId, sepId, vocabSize } = tokenizer;
  for (const id of [padId, unkId, clsId, sepId, tokenizer.maskId ?? 0])
    expectThat(
      Number.isInteger(id) && id >= 0 && id < vocabSize,
      `the id ${id} of a special token, of ${vocabSize}`,
    );
  const again = whole ? tokenizerFromFiles(tokenizer.files()) : undefined;
  for (const text of whole ? TEXTS : TEXTS.slice(0, 1)) {
    const pieces = encoded(tokenizer, text);
    let before = 0;
    for (const { id, start, end } of pieces) {
      expectThat(
        before <= start && start <= end && end <= text.length,
        `piece ${start}-${end} of ${JSON.stringify(text)}`,
      );
      expectThat(Number.isInteger(id) && id >= 0 && id < vocabSize, `piece of id ${id} of ${vocabSize}`);
      before = start;
    }
    const idsOf = (list: readonly Piece[]): string => list.map(({ id }) => id).join();
    if (again)
      expectThat(
        idsOf(encoded(again, text)) === idsOf(pieces),
        `${JSON.stringify(text)} is another from the files`,
      );
  }
}

type Texts = Record<string, string>;

interface Given {
  files: Texts;
  /** Whether all is checked of what they give. */
  whole: boolean;
}

const given = (files: Texts, dice: Dice): Given => ({ files, whole: dice.chance(0.1) });
const readGiven = ({ files, whole }: Given): void => checkTokenizer(tokenizerFromFiles(files), whole);

/** Settings that may stand beside a vocabulary. */
function settings(config: object, dice: Dice): Texts {
  const files: Texts = {};
  const put = (name: string, value: object, p: number): void => {
    if (dice.chance(p)) files[name] = jsonText(dice.chance(0.7) ? mutateJson(value, dice) : value, dice);
  };
  put('tokenizer_config.json', config, 0.6);
  put(
    'special_tokens_map.json',
    { unk_token: '[UNK]', mask_token: { content: '[MASK]', lstrip: true } },
    0.2,
  );
  put('added_tokens.json', { '[E1]': 20, 'Tolm,': 21 }, 0.2);
  return files;
}

const WORDS = [
  '[PAD]',
  '[UNK]',
  '[CLS]',
  '[SEP]',
  '[MASK]',
  'the',
  'reed',
  '-',
  'bed',
  '##s',
  'T',
  '##olm',
  ',',
  '.',
  '水',
  '稻',
];

const bertSettings = {
  tokenizer_class: 'BertTokenizer',
  do_lower_case: true,
  strip_accents: null,
  tokenize_chinese_chars: true,
  unk_token: '[UNK]',
  added_tokens_decoder: { 1: { content: '[UNK]', special: true }, 16: { content: '[E2]', special: false } },
};

const vocabulary: Target<Given> = {
  name: 'vocabulary',
  make(dice) {
    const lines = mutateLines(WORDS.map((word) => `${word}\n`).join(''), dice);
    return given({ 'vocab.txt': lines, ...settings(bertSettings, dice) }, dice);
  },
  read: readGiven,
};

const added = (names: readonly string[], special: boolean, from = 0) =>
  names.map((content, i) => ({
    id: from + i,
    content,
    special,
    lstrip: false,
    rstrip: false,
    normalized: !special,
  }));

const wordPieceJson = {
  version: '1.0',
  added_tokens: [...added(WORDS.slice(0, 5), true), ...added(['[E3]'], false, 16)],
  normalizer: {
    type: 'BertNormalizer',
    clean_text: true,
    handle_chinese_chars: true,
    strip_accents: null,
    lowercase: true,
  },
  pre_tokenizer: { type: 'BertPreTokenizer' },
  model: {
    type: 'WordPiece',
    unk_token: '[UNK]',
    continuing_subword_prefix: '##',
    max_input_chars_per_word: 100,
    vocab: Object.fromEntries(WORDS.map((word, id) => [word, id])),
  },
};

const XLM = [
  '<s>',
  '<pad>',
  '</s>',
  '<unk>',
  '▁',
  '▁The',
  '▁reed',
  '-',
  'bed',
  '▁at',
  'T',
  'olm',
  ',',
  '水',
  '<mask>',
];
const unigramJson = {
  version: '1.0',
  added_tokens: [
    ...added(['<s>', '<pad>', '</s>', '<unk>'], true),
    ...added(['<mask>'], true, 14),
    ...added(['Tolm'], false, 15),
  ],
  normalizer: {
    type: 'Sequence',
    normalizers: [
      { type: 'Replace', pattern: { String: '``' }, content: '"' },
      { type: 'NFKD' },
      { type: 'StripAccents' },
      { type: 'Lowercase' },
    ],
  },
  pre_tokenizer: {
    type: 'Sequence',
    pretokenizers: [
      { type: 'WhitespaceSplit' },
      { type: 'Metaspace', replacement: '▁', add_prefix_space: true },
    ],
  },
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '<s>', type_id: 0 } }],
    pair: [],
    special_tokens: {},
  },
  decoder: { type: 'Metaspace', replacement: '▁', add_prefix_space: true },
  model: { type: 'Unigram', unk_id: 3, vocab: XLM.map((word, i) => [word, -i / 2]) },
};

/** Letters of bytes: those that the first of the texts needs. */
const LETTERS = [..."!'(),-./0123456789ABCDEFTabcdefhlmostuwxyzrnĠĊÃ©"];
const BYTE_VOCAB = Object.fromEntries(
  ['<s>', '<pad>', '</s>', '<unk>', '<mask>', ...LETTERS, 'Ġa', 'he', 'Ġt', 'Ġthe'].map((word, id) => [
    word,
    id,
  ]),
);
const MERGES = ['Ġ a', 'h e', 'Ġ t', 'Ġt he'];
const byteLevelJson = {
  version: '1.0',
  added_tokens: added(['<s>', '<pad>', '</s>', '<unk>', '<mask>'], true),
  normalizer: null,
  pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
  post_processor: { type: 'RobertaProcessing', sep: ['</s>', 2], cls: ['<s>', 0] },
  decoder: { type: 'ByteLevel' },
  model: {
    type: 'BPE',
    unk_token: '<unk>',
    dropout: null,
    fuse_unk: false,
    byte_fallback: false,
    vocab: BYTE_VOCAB,
    merges: MERGES,
  },
};

const robertaSettings = {
  tokenizer_class: 'RobertaTokenizer',
  add_prefix_space: false,
  do_lower_case: false,
  mask_token: '<mask>',
};

const tokenizerJson: Target<Given> = {
  name: 'tokenizer.json',
  make(dice) {
    const [json, config] = dice.pick<[object, object]>([
      [wordPieceJson, bertSettings],
      [unigramJson, { tokenizer_class: 'XLMRobertaTokenizer', add_prefix_space: true }],
      [byteLevelJson, robertaSettings],
    ]);
    const beside = dice.chance(0.3) ? settings(config, dice) : {};
    return given({ 'tokenizer.json': jsonText(mutateJson(json, dice), dice), ...beside }, dice);
  },
  read: readGiven,
};

const byteLevel: Target<Given> = {
  name: 'vocab.json',
  make(dice) {
    const vocab = jsonText(dice.chance(0.6) ? mutateJson(BYTE_VOCAB, dice) : BYTE_VOCAB, dice);
    const merges = mutateLines(`#version: 0.2\n${MERGES.join('\n')}\n`, dice);
    return given({ 'vocab.json': vocab, 'merges.txt': merges, ...settings(robertaSettings, dice) }, dice);
  },
  read: readGiven,
};

const float = (value: number): Uint8Array => new Uint8Array(Float32Array.of(value).buffer);

/** A SentencePiece model's fields: pieces of text, score and type, then the trainer's and the normaliser's settings. */
const sentencePieceFields = (specials: readonly string[]): ProtoField[] => [
  ...[...specials, '▁', '▁the', '▁reed', 's', 'T', 'olm', '水', '"'].map((text, i): ProtoField => {
    const type: ProtoField[] = text === '<unk>' ? [[3, 2]] : i < specials.length ? [[3, 3]] : [];
    return [1, [[1, text], [2, float(-i / 4)], ...type]];
  }),
  [
    2,
    [
      [3, 1],
      [4, 11],
      [35, 0],
      [41, 2 ** 63],
    ],
  ],
  [
    3,
    [
      [1, 'nmt_nfkc'],
      [2, 'table'],
      [3, 1],
      [4, 1],
      [5, 1],
    ],
  ],
];

const sentencePiece: Target<{ model: Uint8Array; fairseq: boolean; doLowerCase: boolean; whole: boolean }> = {
  name: 'sentencepiece',
  make(dice) {
    const fairseq = dice.chance(0.5);
    const specials = fairseq ? ['<unk>', '<s>', '</s>'] : ['<pad>', '<unk>', '[CLS]', '[SEP]', '[MASK]'];
    const bytes = protoBytes(mutateProto(sentencePieceFields(specials), dice));
    return {
      model: dice.chance(0.3) ? mutateBytes(bytes, dice) : bytes,
      fairseq,
      ...{ doLowerCase: dice.chance(0.5), whole: dice.chance(0.1) },
    };
  },
  read({ model, fairseq, doLowerCase, whole }) {
    const casing = fairseq ? 'xlm-roberta' : { doLowerCase, keepAccents: !doLowerCase };
    const definition = sentencePieceDefinition(model, casing, 'spiece.model');
    readGiven({ files: { 'tokenizer.json': JSON.stringify(definition) }, whole });
  },
};

export const vocabularyTargets: readonly Target[] = [vocabulary, tokenizerJson, byteLevel, sentencePiece];
