/** What once crashed, hung, filled the memory or was told in a message that nobody can show: each with its kin. */
import test from 'tape';
import { InputError } from '../../kernels/errors.ts';
import { kernelNamed } from '../../kernels/index.ts';
import { defaultCaps } from '../../kernels/plan.ts';
import { parseShapes } from '../../src/cli/kernel-shapes.ts';
import { prepareKernelRun } from '../../src/ops/run-kernel.ts';
import { formatNamed } from '../../src/tasks/corpus/formats/index.ts';
import { readRows } from '../../src/tasks/corpus/read.ts';
import { Counts, type Row } from '../../src/tasks/corpus/row.ts';
import { parseSchema } from '../../src/tasks/prompts/schema.ts';
import { definitions } from '../../src/tasks/registry.ts';
import { tokenizerFromFiles } from '../../src/tasks/text/from-files.ts';
import { curveSvg } from '../../src/tasks/training/curve.ts';
import { complaintAbout, expectThat, runCampaign, type Target } from './campaign.ts';

/** The message with which `action` is refused; anything else that it ends in is told as such. */
function refusal(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return complaintAbout(error) ?? (error as InputError).message;
  }
  return 'not refused';
}

/** Ends within two seconds of the processor's time. */
function inTime(t: test.Test, name: string, action: () => void): void {
  const from = process.cpuUsage();
  action();
  const { user, system } = process.cpuUsage(from);
  t.ok(user + system < 2e6, `${name}: ${Math.round((user + system) / 1000)} ms`);
}

test('a value that cannot be made a text, where an error quotes it', (t) => {
  for (const id of [
    { toString: null },
    { toString: null, valueOf: null },
    [{ toString: null }],
    null,
    true,
  ]) {
    const entities = [{ id: 1, label: 'P', start_offset: 0, end_offset: 5 }];
    const relations = [{ from_id: 1, to_id: id, type: 'knows' }];
    const row = JSON.stringify({ text: 'Maren', entities, relations });
    t.match(
      refusal(() => readRows(row, 'f', {}, 'document', (one) => one)),
      /^f: row 1: relations\[0\]\.to_id is .*, the id of no entity$/,
    );
  }
  t.end();
});

test('a tokenizer.json whose model is none', (t) => {
  const specials = ['[PAD]', '[UNK]', '[CLS]', '[SEP]'];
  const shell = { normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null };
  const unigram = { type: 'Unigram', unk_id: 1, vocab: [...specials, 'a'].map((entry) => [entry, -1]) };
  const vocab = Object.fromEntries([...specials, 'a', 'b', 'ab'].map((entry, id) => [entry, id]));
  const bpe = { type: 'BPE', unk_token: '[UNK]', vocab, merges: ['a b'] };
  const read = (model: unknown, more: object = {}) =>
    tokenizerFromFiles({ 'tokenizer.json': JSON.stringify({ ...shell, ...more, model }) });
  const refused = (model: unknown, words: RegExp, more: object = {}): void =>
    t.match(
      refusal(() => read(model, more)),
      words,
    );

  for (const type of ['WordLevel', 'Unigrams', 7, null, {}, ['BPE']])
    refused(
      { ...bpe, type },
      /^tokenizer\.json: model: type is .*; only WordPiece, Unigram and BPE are followed$/,
    );
  for (const key of ['unk_token', 'end_of_word_suffix', 'continuing_subword_suffix'])
    for (const value of [3, {}, ['[UNK]'], { toString: null }])
      refused({ ...bpe, [key]: value }, new RegExp(`^tokenizer\\.json: model: ${key} is .*, not a text$`));
  for (const id of [-1, 0.5, 5, '1', {}, null])
    refused({ ...unigram, unk_id: id }, /model: unk_id is .*, not an index of its 5 entries$/);
  for (const entry of ['a', ['a'], [1, 2], ['a', '1'], null])
    refused(
      { ...unigram, vocab: [...unigram.vocab, entry] },
      /model: vocab is not a list of texts with their scores$/,
    );
  for (const merges of [null, 'a b', [['a']], [1], [{}]])
    refused({ ...bpe, merges }, /model: merges are not a list of pairs$/);
  refused(unigram, /Replace has no pattern/, { normalizer: { type: 'Replace', pattern: 'a', content: 'b' } });
  const step = { type: 'Replace', pattern: { String: 'a' }, content: { toString: null } };
  refused(unigram, /Replace has no content/, { normalizer: { type: 'Sequence', normalizers: [step] } });

  // What is not used cannot fail, and what old files leave out is not missed.
  const strange = { type: 'TemplateProcessing', single: 7 };
  t.equal(read(unigram, { post_processor: strange, decoder: strange }).encode('a').length, 1);
  t.deepEqual(
    read({ ...bpe, type: undefined })
      .encode('ab')
      .map(({ id }) => id),
    [6],
  );
  // The unknown token may stand beside the vocabulary.
  const { '[UNK]': _, ...rest } = vocab;
  const beside = read(
    { ...bpe, vocab: rest },
    { added_tokens: [{ id: 1, content: '[UNK]', special: true }] },
  );
  t.deepEqual(
    beside.encode('abc').map(({ id }) => id),
    [6, 1],
  );
  t.end();
});

test('characters that a normaliser makes several words of', (t) => {
  const entries = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '▁', '▁two', '▁words'];
  const tokenizer = tokenizerFromFiles({
    'tokenizer.json': JSON.stringify({
      normalizer: { type: 'Replace', pattern: { String: '&&' }, content: 'two words' },
      pre_tokenizer: {
        type: 'Sequence',
        pretokenizers: [
          { type: 'WhitespaceSplit' },
          { type: 'Metaspace', replacement: '▁', add_prefix_space: true },
        ],
      },
      ...{ post_processor: null, decoder: null },
      model: { type: 'Unigram', unk_id: 1, vocab: entries.map((entry, i) => [entry, -i]) },
    }),
  });
  const pieces = tokenizer.encode('a && b');
  t.ok(pieces.length > 3);
  for (const [i, { start, end }] of pieces.entries())
    t.ok(
      start <= end && start >= (pieces[i - 1]?.start ?? 0) && end >= (pieces[i - 1]?.end ?? 0),
      `${start}-${end}`,
    );
  t.end();
});

test('ids of tokens beside a vocab.txt that would make a list as long as they are', (t) => {
  const vocab = '[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n';
  for (const id of [1e7, 2 ** 31, -1, 0.5])
    t.match(
      refusal(() =>
        tokenizerFromFiles({ 'vocab.txt': vocab, 'added_tokens.json': JSON.stringify({ b: id }) }),
      ),
      /^vocab\.txt: the id of "b" is .*, not an integer from 0 to 65541$/,
    );
  const far = tokenizerFromFiles({ 'vocab.txt': vocab, 'added_tokens.json': '{"b": 30522}' });
  t.equal(far.encode('b')[0].id, 30522, 'a gap is well');
  t.end();
});

test('a log that holds what is no number where numbers are', (t) => {
  const good = { event: 'epoch', epoch: 2, loss: 1, dev: { ner: 0.5 }, best: true };
  for (const value of [{ toString: null }, 'NaN', null, [1], Infinity, { valueOf: null }])
    for (const bad of [
      { epoch: value },
      { loss: value },
      { dev: value },
      { dev: { ner: value } },
      { dev: { __proto__x: 1 } },
    ]) {
      const svg = curveSvg([{ ...good, epoch: 1, ...bad }, good], ['loss'], { ner: 'NER' });
      t.notOk(/="[^"]*(NaN|Infinity|undefined)/.test(svg), JSON.stringify(bad));
    }
  const named = JSON.parse('{"__proto__": 1, "constructor": 0}') as object;
  t.match(curveSvg([{ ...good, dev: named }], ['loss']), />__proto__</, 'names that objects have');
  t.end();
});

test('names that steer a terminal, and long ones, in every message', (t) => {
  const names = ['\u001b[2J\u001b[31mred', '\u202eright', 'a\nb', '\u0007', '的'.repeat(3000)];
  const encoder = {
    vocab_size: 9,
    hidden_size: 8,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    intermediate_size: 8,
  };
  const own: Record<string, object> = {
    lai: { stage: 'entities', entityTypes: ['A'] },
    cerem: { scales: [1], heads: 1, headSize: 8 },
  };
  for (const name of names) {
    for (const { name: model, parseConfig } of definitions) {
      const message = refusal(() => parseConfig({ model, encoder, ...own[model], [name]: 1 }, 'f'));
      t.match(message, /^f: unknown key "/, model);
    }
    t.match(
      refusal(() => parseSchema({ entities: { [name]: 1 } }, 'f')),
      /^f: entities\./,
    );
  }
  const error = new InputError('one\nline\u001b'.repeat(1000));
  t.ok(error.message.length <= 1010 && error.message.startsWith('one line\\x1bone'), 'whoever throws it');
  t.equal(new InputError('why', { cause: 7 }).cause, 7);
  t.end();
});

test('rows that are long take no time that grows with their square', (t) => {
  const words = Array.from({ length: 60_000 }, (_, i) => ['Maren', 'leads', '👩‍🌾', ','][i % 4]);
  const text = words.join(' ');
  const entities = [...text.matchAll(/Maren/g)].map(({ index }) => ({
    type: 'P',
    start: index,
    end: index + 5,
  }));
  const row: Row = { place: 'row 1', text, entities, relations: [] };
  for (const name of ['brat', 'doccano', 'spacy', 'uie-prompts', 'text', 'label-studio'])
    inTime(
      t,
      `${name} with ${entities.length} entities`,
      () => void formatNamed(name).write([row], new Counts(), {}),
    );
  const tokens: Row = {
    place: 'row 1',
    tokens: words,
    entities: words.map((_, i) => ({ type: 'P', start: i, end: i + 1 })),
    relations: [],
  };
  for (const name of ['dygie', 'w2ner', 'spert'])
    inTime(
      t,
      `${name} with ${words.length} entities`,
      () => void formatNamed(name).write([tokens], new Counts(), {}),
    );
  const triple = {
    predicate: 'leads',
    subject: 'Maren',
    subject_type: 'P',
    object: 'leads',
    object_type: 'V',
  };
  const triples = JSON.stringify({ text, spo_list: Array.from({ length: 3000 }, () => triple) });
  inTime(t, 'triples', () => void readRows(triples, 'f', {}, 'document', (one) => one));
  t.end();
});

test('lines of many megabytes, which exhaust the stack of a pattern that may go back', (t) => {
  const long = 'é👩'.repeat(5_000_000);
  const read = (content: string): number => readRows(content, 'f', {}, 'document', (one) => one).items.length;
  t.equal(read(`${long} O\nAda B-P\n`), 1, 'a token');
  t.equal(read(`Ada B-${long}\n`), 1, 'a type');
  t.equal(read(`# text = ${long}\nAda B-P\n`), 1, 'a comment');
  t.match(
    refusal(() => read(long)),
    /^f: neither JSON nor lines/,
    'neither token nor tag',
  );
  const dygie = { doc_key: `${long}#1`, sentences: [['Ada']], ner: [[]], relations: [[]] };
  t.equal(read(JSON.stringify(dygie)), 1, 'the key of a document');
  const blanks = ' '.repeat(200_000);
  inTime(t, 'blanks within a line', () => t.equal(read(`a${blanks}b O\nAda B-P\n`), 1));
  t.end();
});

test('what is asked of a kernel that is none, or more than any device holds', (t) => {
  for (const activation of ['toString', '__proto__', 'constructor', {}, 2])
    t.match(
      refusal(() =>
        kernelNamed('linear').plan({
          shapes: { x: [2, 3], weight: [4, 3] },
          ...{ params: { activation }, caps: defaultCaps, host: {} },
        }),
      ),
      /^linear: parameter "activation" must be one of none, relu/,
    );
  const lengths = Int32Array.of(2 ** 31 - 1);
  const enumerate = {
    shapes: { lengths: [1] },
    host: { lengths },
    params: { maxWidth: 9 },
    caps: defaultCaps,
  };
  t.match(
    refusal(() => kernelNamed('span-enumerate').plan(enumerate)),
    /^span-enumerate: \d+ spans of "lengths" are more/,
  );
  for (const shape of [[3e9, 5], [2 ** 26], [0, 2 ** 40], [2 ** 53 - 1]])
    t.match(
      refusal(() => parseShapes(kernelNamed('softmax'), { x: shape })),
      /^--shapes: "x" of shape \[[\d,]+\] has over 33554432 elements, more than can be bound$/,
    );
  const empty = new Map([['x', { shape: [0, 2 ** 31], dtype: 'f32' as const, data: new Float32Array(0) }]]);
  t.match(
    refusal(() => prepareKernelRun(kernelNamed('column-sum'), empty, {}, false, 'in')),
    /^in: "x" of shape \[0,2147483648\] has over 1073741824 elements/,
  );
  t.end();
});

test('a campaign sees what is wrong with a reader', async (t) => {
  const tried = async (read: (n: number) => unknown): Promise<string> => {
    const target: Target<number> = { name: 'planted', make: (dice) => dice.integer(4), read };
    const { faults, inputs } = await runCampaign(target, { seed: 1, count: 40, hangsMs: 500 });
    t.equal(inputs, 40);
    return [...new Set(faults.map(({ why }) => why.split('\n')[0].replace(/\d+/g, 'N')))].join();
  };
  /** Does something strange once. */
  const once = (action: () => void): ((n: number) => void) => {
    let done = false;
    return (n) => {
      if (n !== 3 || done) return;
      done = true;
      action();
    };
  };
  const kept: unknown[] = [];
  const cpuMs = (): number => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  };

  t.equal(await tried((n) => n), '');
  t.equal(await tried(() => Promise.reject(new InputError('no'))), '');
  t.match(await tried((n) => n === 2 && (null as unknown as string).length), /^throws TypeError/);
  t.equal(await tried((n) => Promise.reject(new RangeError(String(n)))), 'throws RangeError: N');
  t.equal(await tried(once(() => kept.push(new Float64Array(2 ** 24)))), 'takes N bytes of memory for N');
  t.equal(await tried(once(() => expectThat(false, 'nonsense'))), 'throws Error: nonsense');
  const slow = async (): Promise<void> => {
    await Promise.resolve();
    for (const from = cpuMs(); cpuMs() - from < 2100;);
  };
  let first: Promise<void> | undefined;
  t.equal(await tried(() => first ?? (first = slow())), 'takes N ms');
  // Without an end, and again where the machine had no time for it.
  let over = false;
  const endless = (n: number): void => {
    if (n !== 3 || over) return;
    for (const from = cpuMs(); ;) if (cpuMs() - from > 100) over = true;
  };
  t.equal(await tried(endless), 'hangs: no end after N ms');
  t.equal(complaintAbout(new InputError(' ')), 'a message that is empty');
  t.end();
});
