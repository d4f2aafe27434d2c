/** Readers of texts: corpora of every format, as `convert` and each model read them, and what `extract` reads. */
import { Lines } from '../../src/io/lines.ts';
import { InputError } from '../../kernels/errors.ts';
import { onBadChoices } from '../../src/tasks/bad-rows.ts';
import { parseSpertJson } from '../../src/tasks/dataset.ts';
import type { Format } from '../../src/tasks/corpus/formats/format.ts';
import { formats } from '../../src/tasks/corpus/formats/index.ts';
import { offsetChoices } from '../../src/tasks/corpus/offsets.ts';
import { readRows } from '../../src/tasks/corpus/read.ts';
import type { ReadOptions } from '../../src/tasks/corpus/reading.ts';
import { reduceRows } from '../../src/tasks/corpus/reduce.ts';
import { Counts, type Files, type Row } from '../../src/tasks/corpus/row.ts';
import { schemes } from '../../src/tasks/corpus/tags.ts';
import { WordRows } from '../../src/tasks/corpus/words.ts';
import { definitions } from '../../src/tasks/registry.ts';
import { textRows, type Rows } from '../../src/tasks/streaming.ts';
import { madeRows } from '../tasks/documents-made.ts';
import { complaintAbout, expectThat, type Target } from './campaign.ts';
import { jsonText, mutateBytes, mutateJson, mutateLines, mutateText, utf8, type Dice } from './mutations.ts';

/** Of every kind that `madeRows` has. */
const documents = madeRows(5, 45);

/** Fields that a tool writes beside what our writers do: their readers look at them. */
const beside: Readonly<Record<string, readonly object[]>> = {
  doccano: [
    {
      id: 7,
      text: 'Maren leads Tolm.',
      label: [
        [0, 5, 'P'],
        [12, 16, 'O'],
      ],
    },
    { data: 'x', labels: [] },
  ],
  spacy: [{ text: 'Maren leads.', spans: [{ start: 0, end: 5, label: 'P', text: 'Maren' }] }],
  'label-studio': [
    { id: 3, text: 'Maren leads.', label: [{ start: 0, end: 5, text: 'Maren', labels: ['P', 'Q'] }] },
    {
      data: { id: 4, note: 'Maren' },
      completions: [{ was_cancelled: true }, { result: [{ type: 'choices' }] }],
    },
  ],
  dygie: [
    {
      doc_id: 'd',
      sentences: [['a', 'b'], ['c']],
      ner: [[[0, 1, 'P']], null],
      clusters: [[[0, 0]]],
      events: [[], []],
    },
  ],
  duie: [
    {
      text: 'Maren leads Tolm in Quist.',
      spo_list: [
        { predicate: 'leads', subject: 'Maren', subject_type: 'P', object: 'Tolm', object_type: 'O' },
        {
          ...{ predicate: 'leads', subject: 'Maren', subject_type: 'P' },
          ...{ object: { '@value': 'Tolm', in: 'Quist' }, object_type: { '@value': 'O', in: 'L' } },
        },
      ],
    },
  ],
  uie: [
    {
      ...{ text: 'Maren leads', tokens: ['Maren', 'leads'], relation: [], entity: [] },
      event: [{ type: 'E', offset: [1], text: 'leads', args: [{ type: 'who', offset: [0], text: 'Maren' }] }],
    },
  ],
  hf: [
    { id: '1', words: ['Maren', 'leads'], labels: [1, 0] },
    { tokens: ['a'], tags: ['B-P'] },
  ],
  spert: [{ tokens: ['a'], text: 'a', entities: null, relations: null, orig_id: 3 }],
  text: [{ text: 'Maren', entities: [{ label: 'P', start: 0, end: 5, text: 'Maren' }] }],
};

const write = (format: Format, rows: readonly Row[]): string | Files => {
  const losses = new Counts();
  return format.write(reduceRows(rows, format, 'made', losses), losses, {});
};

/** The records of a text that one of our writers wrote. */
const recordsOf = (text: string): unknown[] =>
  text.startsWith('[')
    ? (JSON.parse(text) as unknown[])
    : text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as unknown]));

/** By format, what it makes of each of the documents, written once. */
const written = new Map<Format, (string | Files)[]>();

/** One or two documents as a tool of that format has them, with changes. */
function made(format: Format, dice: Dice): string | Files {
  const all = written.get(format) ?? documents.map((_, i) => write(format, documents.slice(i, i + 2)));
  written.set(format, all);
  const some = dice.pick(all);
  if (typeof some !== 'string') {
    const files = Object.entries(some).map(([name, text]): [string, string] => [
      dice.chance(0.02) ? mutateText(name, dice) : name,
      dice.chance(0.5) ? mutateLines(text, dice) : text,
    ]);
    if (dice.chance(0.05)) files.splice(dice.integer(files.length), 1);
    return Object.fromEntries(files);
  }
  if (format.kind === 'lines') return mutateLines(some, dice);
  const records = recordsOf(some);
  const more = beside[format.name];
  if (more && dice.chance(0.5)) records.push(dice.pick(more));
  const whole =
    format.name === 'spacy' && dice.chance(0.1) ? { classes: [], annotations: [...records, null] } : records;
  return jsonText(mutateJson(whole, dice), dice);
}

interface Asked {
  content: string | Files;
  options: ReadOptions;
  /** What is then done with it: nothing, it is written in another format, or a model's own reader takes it. */
  use?: { to: Format } | { model: number };
}

function options(format: Format, dice: Dice): ReadOptions {
  return {
    ...(dice.chance(0.3) && { offsets: dice.pick(offsetChoices) }),
    ...(dice.chance(0.5) && { onBad: dice.pick(onBadChoices) }),
    ...((format.name === 'hf' || dice.chance(0.05)) && { labels: ['O', 'B-P', 'I-P', 'nothing'] }),
    ...(dice.chance(0.3) && format.kind !== 'folder' && { format: format.name }),
  };
}

/** Whether a row is what its offsets say. */
function checkRow({ place, text, tokens, entities, relations }: Row): void {
  const length = tokens?.length ?? text?.length ?? 0;
  for (const { start, end, type } of entities) {
    expectThat(
      Number.isInteger(start) && Number.isInteger(end) && 0 <= start && start < end && end <= length,
      `${place}: entity ${start}-${end} of ${length}`,
    );
    expectThat(typeof type === 'string', `${place}: a type that is no text`);
  }
  for (const { head, tail, type } of relations) {
    const isEnd = (at: number): boolean => Number.isInteger(at) && at >= 0 && at < entities.length;
    expectThat(
      isEnd(head) && isEnd(tail) && head !== tail,
      `${place}: relation ${head}-${tail} of ${entities.length}`,
    );
    expectThat(typeof type === 'string', `${place}: a type that is no text`);
  }
  expectThat(
    !tokens || tokens.every((token) => typeof token === 'string'),
    `${place}: tokens that are no texts`,
  );
}

/** As `convert`, which writes what a reader of its format then reads. */
function convert({ content, options: asked }: Asked, to?: Format): void {
  const { items, notes } = readRows(content, 'corpus', asked, 'document', (row) => row);
  items.forEach(checkRow);
  expectThat(
    notes.every((note) => typeof note === 'string'),
    'notes that are no texts',
  );
  if (!to) return;
  const losses = new Counts();
  to.write(reduceRows(items, to, 'corpus', losses), losses, { tags: schemes[items.length % schemes.length] });
  expectThat(
    losses.notes().every((note) => !note.includes('NaN')),
    'losses that are no counts',
  );
}

const corpora = formats.map((format): Target<Asked> => ({
  name: `corpus-${format.name}`,
  make: (dice) => ({
    ...{ content: made(format, dice), options: options(format, dice) },
    then: dice.pick([
      undefined,
      undefined,
      { to: dice.pick(formats) },
      { model: dice.integer(definitions.length) },
    ]),
  }),
  read(asked) {
    const { use } = asked;
    if (use && 'model' in use) definitions[use.model].read(asked.content, 'corpus', asked.options);
    else convert(asked, use?.to);
  },
}));

/** Sentences as `trace` and older tools have them. */
const sentences: Target<string> = {
  name: 'sentences',
  make: (dice) => made(formats[0], dice) as string,
  read: (text) => parseSpertJson(text, 'sentences.json'),
};

const chunksOf = async function* (bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.subarray(at, at + size));
};

interface Stream {
  bytes: Uint8Array;
  chunk: number;
  tokens: boolean;
  skips: number;
  stops: boolean;
}

const LINES = [
  'Maren leads Tolm.',
  '',
  '的水稻 \u{1f33e}',
  '{"tokens":["Maren","leads"],"id":3}',
  '{"tokens":[]}',
  '[{"tokens":["a"]}]',
];

/** What `extract` reads: lines that are texts, or rows of words. */
const stream: Target<Stream> = {
  name: 'extract',
  make(dice) {
    const lines = Array.from({ length: dice.integer(6) }, () => dice.pick(LINES));
    const bytes = utf8(mutateLines(lines.join('\n'), dice));
    return {
      bytes: dice.chance(0.2) ? mutateBytes(bytes, dice) : bytes,
      ...{
        chunk: dice.pick([1, 3, 1000]),
        tokens: dice.chance(0.5),
        skips: dice.pick([0, 0, 1, 9]),
        stops: dice.chance(0.5),
      },
    };
  },
  async read({ bytes, chunk, tokens, skips, stops }) {
    const lines = new Lines(chunksOf(bytes, chunk), 'lines');
    const onBad = stops ? 'stop' : 'skip';
    const rows: Rows = tokens
      ? new WordRows(lines, 'lines', onBad)
      : textRows(lines, (row) => `row ${row}`, onBad);
    await rows.skip(skips);
    for (let some = await rows.next(2); some.length > 0; some = await rows.next(2))
      for (const { asked, error } of some) {
        const words = typeof asked === 'string' ? [asked] : asked.tokens;
        expectThat(
          words.every((word) => typeof word === 'string'),
          'a row that is no text',
        );
        expectThat(
          error === undefined || complaintAbout(new InputError(error)) === undefined,
          'an error of more than a line',
        );
      }
  },
};

export const corpusTargets: readonly Target[] = [...corpora, sentences, stream];
