/** What a folder says beside its vocabulary: casing, special tokens by name, added tokens, classes that are not followed. */
import test from 'tape';
import { tokenizerFromFiles, tokenizerFromSource } from '../../../src/tasks/text/from-files.ts';
import { tokenizerFiles, type Tokenizer } from '../../../src/tasks/text/tokenizer.ts';
import { unknownNotes } from '../../../src/tasks/text/unknown.ts';
import { inputError } from '../runs.ts';

const specials = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'];
const vocab = [...specials, 'rain', 'Rain', 'over', 'cafe', '.'].map((entry) => `${entry}\n`).join('');
const lowerVocab = [...specials, 'rain', 'over', '##n'].map((entry) => `${entry}\n`).join('');
const json = JSON.stringify;

const definition = (lowercase: boolean, more: object = {}): string =>
  json({
    added_tokens: [],
    normalizer: { type: 'BertNormalizer', clean_text: true, handle_chinese_chars: true, lowercase },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    model: { type: 'WordPiece', unk_token: '[UNK]', vocab: { ...specials } },
    ...more,
  });

const tokens = (tokenizer: Tokenizer, text: string): string[] => tokenizer.encode(text).map((p) => p.text);

test('tokenizer.json counts where tokenizer_config.json is silent on casing', (t) => {
  const load = (files: Record<string, string>) => tokenizerFromFiles(files, (file) => `dir/${file}`);
  const silent = load({
    'vocab.txt': vocab,
    'tokenizer.json': definition(true),
    'tokenizer_config.json': '{}',
  });
  t.deepEqual(tokens(silent, 'Rain Café.'), ['rain', 'cafe', '.'], 'beside a vocab.txt');
  t.equal(silent.casing, 'text is lower-cased and loses its accents (dir/tokenizer.json)');
  const kept = load({
    'vocab.txt': vocab,
    'tokenizer.json': definition(true),
    'tokenizer_config.json': '{"do_lower_case": false}',
  });
  t.deepEqual(tokens(kept, 'Rain'), ['Rain'], 'what is not silent wins');
  t.equal(kept.casing, 'text keeps its case (dir/tokenizer_config.json)');
  const none = load({ 'vocab.txt': vocab });
  t.deepEqual(tokens(none, 'Rain'), ['Rain'], 'without a word of it case is kept');
  t.equal(none.casing, 'text keeps its case (no file says otherwise)');
  t.match(
    load({ 'vocab.txt': lowerVocab }).casing,
    /^text keeps its case \(no file says otherwise\), but no entry of the vocabulary has a capital letter: /,
  );
  const again = tokenizerFromFiles(tokenizerFiles(silent));
  t.deepEqual(tokens(again, 'Rain Café.'), ['rain', 'cafe', '.'], 'copied and loaded');
  t.end();
});

test('special tokens by the names of the configuration, in any of its files', (t) => {
  const entries = ['<pad>', '<unk>', '<cls>', '<sep>', '<mask>', 'rain']
    .map((entry) => `${entry}\n`)
    .join('');
  const named = {
    pad_token: '<pad>',
    unk_token: '<unk>',
    cls_token: { content: '<cls>' },
    sep_token: '<sep>',
  };
  const config = { ...named, mask_token: '<mask>' };
  for (const [file, more] of [
    ['tokenizer_config.json', {}],
    ['special_tokens_map.json', { 'tokenizer_config.json': '{"do_lower_case": false}' }],
  ] as const) {
    const tokenizer = tokenizerFromFiles({ 'vocab.txt': entries, [file]: json(config), ...more });
    const { padId, unkId, clsId, sepId, maskId } = tokenizer;
    t.deepEqual([padId, unkId, clsId, sepId, maskId], [0, 1, 2, 3, 4], file);
    t.deepEqual(tokens(tokenizer, 'rain snow'), ['rain', '<unk>']);
    const again = tokenizerFromFiles(tokenizerFiles(tokenizer));
    t.deepEqual([again.clsId, again.unkId], [2, 1], 'copied and loaded');
  }
  t.throws(
    () =>
      tokenizerFromFiles({
        'vocab.txt': entries,
        'tokenizer_config.json': json({ ...config, cls_token: '[C]' }),
      }),
    /vocab\.txt: no entry \[C\]/,
  );
  t.end();
});

test('added tokens are entries, and those that are not special are found in a text whole', (t) => {
  const added = { '[unused9]': 10, 'Covid-19': 11, '[E1]': 12 };
  const decoder = { 12: { content: '[E1]', special: true }, 13: { content: '<e2>', special: false } };
  const files = {
    'vocab.txt': vocab,
    'tokenizer_config.json': json({ added_tokens_decoder: decoder }),
    'added_tokens.json': json(added),
  };
  const check = (tokenizer: Tokenizer, message: string) => {
    t.equal(tokenizer.vocabSize, 14, message);
    t.equal(tokenizer.idOf('[E1]'), 12);
    const text = 'rain Covid-19. <e2>rain [E1]';
    const pieces = tokenizer.encode(text);
    t.deepEqual(
      pieces.slice(0, 5).map(({ text: piece, start, end }) => [piece, text.slice(start, end)]),
      [
        ['rain', 'rain'],
        ['Covid-19', 'Covid-19'],
        ['.', '.'],
        ['<e2>', '<e2>'],
        ['rain', 'rain'],
      ],
    );
    t.notOk(
      pieces.some(({ id }) => id === 12),
      'a special one is not: text is text',
    );
  };
  const tokenizer = tokenizerFromFiles(files);
  check(tokenizer, 'as it stands');
  check(tokenizerFromFiles(tokenizerFiles(tokenizer)), 'copied and loaded');
  const lower = tokenizerFromFiles({ ...files, 'tokenizer_config.json': '{"do_lower_case": true}' });
  t.deepEqual(
    tokens(lower, 'RAIN covid-19'),
    ['rain', 'Covid-19'],
    'lower-cased text holds them in any case',
  );
  for (const [file, content, message] of [
    ['added_tokens.json', '{"x": "y"}', /^InputError: added_tokens\.json: the id of "x" is not a number$/],
    ['added_tokens.json', '{"x": 5}', /vocab\.txt: "rain" and "x" share the id 5/],
    ['added_tokens.json', '{"rain": 50}', /vocab\.txt: "rain" has the ids 5 and 50/],
    [
      'tokenizer_config.json',
      '{"added_tokens_decoder": {"5": 1}}',
      /added_tokens_decoder has no content for 5/,
    ],
  ] as const)
    t.throws(() => tokenizerFromFiles({ ...files, [file]: content }), message, content);
  t.end();
});

test('classes that are not followed are refused by name, but for a tokenizer.json that says all', (t) => {
  const load = (config: object, more: Record<string, string> = {}) =>
    tokenizerFromFiles({ 'vocab.txt': vocab, 'tokenizer_config.json': json(config), ...more });
  for (const [config, message] of [
    [
      { tokenizer_class: 'BertJapaneseTokenizer' },
      /tokenizer_class is BertJapaneseTokenizer, which is not followed/,
    ],
    [{ tokenizer_class: 'PhobertTokenizer' }, /PhobertTokenizer, .*; give the folder a tokenizer\.json$/],
    [
      { word_tokenizer_type: 'mecab' },
      /tokenizer_config\.json: word_tokenizer_type is "mecab", which is not/,
    ],
    [{ subword_tokenizer_type: 'character' }, /subword_tokenizer_type is "character"/],
  ] as const)
    t.throws(() => load(config), message, json(config));
  for (const name of ['BertTokenizer', 'BertTokenizerFast', 'DistilBertTokenizer', 'ElectraTokenizerFast'])
    t.deepEqual(tokens(load({ tokenizer_class: name }), 'rain'), ['rain'], name);
  const other = load({ tokenizer_class: 'OwnTokenizer' }, { 'tokenizer.json': definition(true) });
  t.deepEqual(tokens(other, 'Rain'), ['rain'], 'a class of its own with a tokenizer.json');
  t.end();
});

test('a vocabulary whose every line ends in CRLF', (t) => {
  const tokenizer = tokenizerFromFiles({ 'vocab.txt': vocab.replaceAll('\n', '\r\n') });
  t.deepEqual(tokens(tokenizer, 'Rain over.'), ['Rain', 'over', '.']);
  t.equal(tokenizer.vocabSize, 10);
  t.equal(tokenizerFromFiles({ 'vocab.txt': vocab.replaceAll('\n', '\r\n').trimEnd() }).vocabSize, 10);
  t.throws(
    () => tokenizerFromFiles({ 'vocab.txt': vocab.replace('\n', '\r\n') }),
    /no entry \[PAD\]/,
    'not one',
  );
  t.end();
});

test('what stands for a large file is named', async (t) => {
  const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:0123456789abcdef\nsize 791656\n';
  const source = (name: string) =>
    Promise.resolve(name === 'spiece.model' ? new TextEncoder().encode(pointer) : undefined);
  t.equal(
    await inputError(() => tokenizerFromSource(source, (file) => `dir/${file}`)),
    'dir/spiece.model: a Git LFS pointer, not the file of 791656 bytes itself; run "git lfs pull" in its folder',
  );
});

test('unknown words are told from one in a hundred on, with the casing', (t) => {
  const tokenizer = tokenizerFromFiles({ 'vocab.txt': lowerVocab });
  const rain = 'rain over rain '.repeat(70);
  t.deepEqual(unknownNotes(tokenizer, [rain, 'Rain Rain']), [], '2 of 212 words');
  const [note] = unknownNotes(tokenizer, [rain, 'Rain Over. Rain'], { whose: 'train.json' });
  t.match(
    note,
    /^train\.json: words unknown to the vocabulary: 4 of 214 words, 1\.9 %, such as "Rain", "Over", "\."; text keeps its case/,
  );
  t.match(note, /no entry of the vocabulary has a capital letter/);
  t.deepEqual(unknownNotes(tokenizer, ['Rain']), [], 'a single word says nothing');
  t.deepEqual(unknownNotes(tokenizer, []), []);
  t.end();
});
