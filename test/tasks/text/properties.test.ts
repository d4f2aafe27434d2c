// What must hold of every text, tried on random Unicode with a vocabulary built from it (so nothing is unknown) and
// with published vocabularies, and ids compared with an independent implementation.
import { Tokenizer as PeerTokenizer } from '@huggingface/tokenizers';
import { existsSync, readFileSync } from 'node:fs';
import test, { type Test } from 'tape';
import { tokenizerFromFiles } from '../../../src/tasks/text/from-files.ts';
import { loadTokenizer } from '../../../src/tasks/text/load.ts';
import type { Tokenizer } from '../../../src/tasks/text/tokenizer.ts';
import { buildVocab } from '../../../src/tasks/text/vocab.ts';
import { createWordPieceTokenizer } from '../../../src/tasks/text/wordpiece.ts';
import { randomTexts } from './random.ts';

const folder = '../shared/data/vocab';

/** A slice of the original as the piece text should read; both small sigmas count as one, for they depend on context. */
function normalised(slice: string, lower: boolean): string {
  const clean = slice.replace(/[^\P{C}\t\n\r]|\ufffd/gu, '');
  return lower
    ? sigma(
        clean
          .toLowerCase()
          .normalize('NFD')
          .replace(/\p{Mn}/gu, ''),
      )
    : clean;
}

function sigma(text: string): string {
  return text.replaceAll('ς', 'σ');
}

/** The first thing that is wrong with the pieces of `text`, or nothing. Counts the pieces compared in `seen`. */
function fault(
  tokenizer: Tokenizer,
  text: string,
  lower: boolean,
  seen: { pieces: number },
): string | undefined {
  const pieces = tokenizer.encode(text);
  let gaps = '';
  for (let i = 0, covered = 0; i < pieces.length;) {
    const first = pieces[i];
    gaps += normalised(text.slice(covered, first.start), lower);
    // Pieces that share a character (Hangul) are compared together.
    let joined = '';
    let { end } = first;
    let previousStart = first.start;
    let unknown = false;
    do {
      const piece = pieces[i++];
      if (piece.start < previousStart || piece.end < end || piece.start >= piece.end)
        return `order at ${piece.start}`;
      if (piece.start < 0 || piece.end > text.length) return `range at ${piece.start}`;
      previousStart = piece.start;
      end = piece.end;
      unknown ||= piece.id === tokenizer.unkId;
      joined += piece.text.startsWith('##') && piece.text.length > 2 ? piece.text.slice(2) : piece.text;
    } while (i < pieces.length && pieces[i].start < end);
    if (first.start < covered) return `overlap at ${first.start}`;
    covered = end;
    if (!unknown) {
      seen.pieces++;
      const slice = normalised(text.slice(first.start, end), lower);
      if (slice !== (lower ? sigma(joined) : joined))
        return `${first.start}..${end} is ${slice}, the piece ${joined}`;
    }
    if (i === pieces.length) gaps += normalised(text.slice(end), lower);
  }
  if (pieces.length === 0) gaps = normalised(text, lower);
  return gaps.trim() === '' ? undefined : `left out: ${JSON.stringify(gaps)}`;
}

function check(
  t: Test,
  tokenizer: Tokenizer,
  texts: readonly string[],
  lower: boolean,
  atLeast: number,
): void {
  const seen = { pieces: 0 };
  for (const text of texts) {
    const wrong = fault(tokenizer, text, lower, seen);
    if (wrong) return t.fail(`${JSON.stringify(text)}: ${wrong}`);
    const words = tokenizer.encodeWords([text])[0];
    if (words.length === 0) return t.fail(`${JSON.stringify(text)}: no piece`);
  }
  t.ok(seen.pieces >= atLeast, `${seen.pieces} pieces are what their slice of the text says`);
}

for (const lower of [true, false]) {
  test(`random Unicode, ${lower ? 'uncased' : 'cased'}, every character known`, (t) => {
    const texts = randomTexts(lower ? 1 : 2, 1500);
    const vocab = buildVocab(texts, { doLowerCase: lower });
    const tokenizer = createWordPieceTokenizer({ vocab, doLowerCase: lower });
    check(t, tokenizer, texts, lower, 10000);
    const unknown = texts.flatMap((text) => tokenizer.encode(text)).filter((p) => p.id === tokenizer.unkId);
    t.equal(unknown.length, 0, 'none is unknown');
    t.end();
  });
}

/** Numbers, units, other scripts, white space of every kind, a word of over 100 letters. */
const sentences = [
  '三号水泵的轴承在2021年检修时发现磨损，更换为SKF 6205型。',
  'Café Lumière 位于滨海路12号（电话：0123-4567）',
  'The turbine（汽轮机）runs at 3000r/min ± 0.5％',
  '①检查阀门；②记录温度：℃、Ω、½',
  '한국어 と カタカナ и кириллица',
  'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa b',
  '零宽\u200b空格\u00a0和\u3000全角\t制表',
  '😀笑脸👍',
  '  ',
];

/** The definition of a BERT tokenizer over a vocabulary, as `tokenizer.json` has it. */
const definitionOf = (vocab: readonly string[], lowercase: boolean) => ({
  version: '1.0',
  added_tokens: [],
  normalizer: {
    ...{ type: 'BertNormalizer', clean_text: true, handle_chinese_chars: true },
    ...{ strip_accents: null, lowercase },
  },
  pre_tokenizer: { type: 'BertPreTokenizer' },
  post_processor: null,
  decoder: null,
  model: {
    ...{ type: 'WordPiece', unk_token: '[UNK]', continuing_subword_prefix: '##' },
    max_input_chars_per_word: 100,
    vocab: Object.fromEntries(vocab.map((entry, id) => [entry, id])),
  },
});

/**
 * Without what the peer has its limits with: it does not set ideographs beyond the BMP alone, keeps unassigned characters,
 * and drops some controls only at one end of its pattern.
 */
const forPeer = (text: string): string => text.replace(/[\p{C}\ufffd\u{10000}-\u{10ffff}]/gu, '');

for (const lower of [false, true])
  test(`ids agree with @huggingface/tokenizers on a vocabulary of our own${lower ? ', lower-cased' : ''}`, (t) => {
    const texts = [...sentences, ...randomTexts(5, 400)].map(forPeer);
    // Half of the texts give the vocabulary: the others hold unknown words.
    const vocab = buildVocab(texts.slice(0, 200), { doLowerCase: lower });
    const definition = definitionOf(vocab, lower);
    const peer = new PeerTokenizer(definition, {});
    const tokenizers = {
      'vocab.txt': createWordPieceTokenizer({ vocab, doLowerCase: lower }),
      'tokenizer.json': tokenizerFromFiles({ 'tokenizer.json': JSON.stringify(definition) }),
    };
    for (const [name, tokenizer] of Object.entries(tokenizers)) {
      const wrong = texts.filter(
        (text) =>
          tokenizer
            .encode(text)
            .map((p) => p.id)
            .join() !== peer.encode(text, { add_special_tokens: false }).ids.join(),
      );
      t.deepEqual(wrong.slice(0, 3), [], `${name}: ${texts.length} texts`);
    }
    t.end();
  });

const skip = existsSync(folder) ? undefined : `${folder} is not there`;

for (const [name, lower, size] of [
  ['bert-base-cased', false, 28996],
  ['bert-base-uncased', true, 30522],
  ['bert-base-chinese', true, 21128],
  ['scibert-scivocab-uncased', true, 31090],
] as const) {
  test(`random Unicode with ${name}`, { skip }, async (t) => {
    const plain = await loadTokenizer(`${folder}/${name}`);
    t.equal(plain.vocabSize, size, 'every line of the file is an entry');
    const lines = readFileSync(`${folder}/${name}/vocab.txt`, 'utf8').split('\n');
    const tokenizer = createWordPieceTokenizer({ vocab: lines.slice(0, -1), doLowerCase: lower });
    check(t, tokenizer, randomTexts(3, 600), lower, 500);
  });
}

test('known pieces of the published vocabularies', { skip }, async (t) => {
  const texts = async (name: string, text: string) =>
    (await loadTokenizer(`${folder}/${name}`)).encode(text).map((p) => p.text);
  t.deepEqual(await texts('bert-base-cased', 'Unaffable WINDMILLS'), [
    'Una',
    '##ff',
    '##able',
    'W',
    '##IN',
    '##DM',
    '##IL',
    '##LS',
  ]);
  t.deepEqual(
    await texts('bert-base-uncased', 'unaffable café'),
    ['una', '##ffa', '##ble', '[UNK]'],
    'not lower-cased without a config',
  );
  const { ids } = chinesePeer().encode('水泵 pump', { add_special_tokens: false });
  t.deepEqual(
    (await loadTokenizer(`${folder}/bert-base-chinese/vocab.txt`)).encode('水泵 pump').map((p) => p.id),
    ids,
  );
});

function chinesePeer(): PeerTokenizer {
  const definition = JSON.parse(readFileSync(`${folder}/bert-base-chinese/tokenizer.json`, 'utf8')) as object;
  return new PeerTokenizer(definition, {});
}

test('ids agree with @huggingface/tokenizers on bert-base-chinese', { skip }, async (t) => {
  const peer = chinesePeer();
  const fromDefinition = await loadTokenizer(`${folder}/bert-base-chinese/tokenizer.json`);
  const fromLines = await loadTokenizer(`${folder}/bert-base-chinese`);
  for (const text of sentences) {
    const { ids } = peer.encode(text, { add_special_tokens: false });
    t.deepEqual(
      fromLines.encode(text).map((p) => p.id),
      ids,
      `vocab.txt: ${text}`,
    );
    t.deepEqual(
      fromDefinition.encode(text).map((p) => p.id),
      ids,
      `tokenizer.json: ${text}`,
    );
  }
});

test('ids agree with @huggingface/tokenizers on random text, lower-cased and not', { skip }, (t) => {
  const definition = JSON.parse(readFileSync(`${folder}/bert-base-chinese/tokenizer.json`, 'utf8')) as {
    normalizer: { lowercase: boolean };
  };
  const lines = readFileSync(`${folder}/bert-base-chinese/vocab.txt`, 'utf8').split('\n').slice(0, -1);
  const texts = randomTexts(4, 400).map(forPeer);
  for (const lowercase of [false, true]) {
    definition.normalizer.lowercase = lowercase;
    const peer = new PeerTokenizer(definition, {});
    const ours = createWordPieceTokenizer({ vocab: lines, doLowerCase: lowercase });
    const differing = texts.filter(
      (text) =>
        String(ours.encode(text).map((p) => p.id)) !==
        String(peer.encode(text, { add_special_tokens: false }).ids),
    );
    t.deepEqual(differing, [], lowercase ? 'lower-cased' : 'cased');
  }
  t.end();
});
