import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'tape';
import { InputError } from '../../kernels/errors.ts';
import { readCorpus } from '../../src/tasks/corpus-file.ts';
import { cerem } from '../../src/tasks/prompts/cerem.ts';
import { documentNotes } from '../../src/tasks/corpus/notes.ts';
import { parseDocuments } from '../../src/tasks/corpus/parse.ts';
import { documentsJson } from '../../src/tasks/corpus/tokens.ts';
import type { Document } from '../../src/tasks/document.ts';
import { own, published, type TestFile } from './data.ts';

/** The message of the InputError that `run` gives; '' where it gives none. */
function complaint(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return error instanceof InputError ? error.message : `not an InputError: ${String(error)}`;
  }
  return '';
}

const mentions = ({ text, entities }: Document): string[] =>
  entities.map(({ type, start, end }) => `${type} ${text.slice(start, end)}`);

const triplesOf = ({ text, entities, relations }: Document): string[] =>
  relations.map(({ type, head, tail }) => {
    const said = (i: number) => text.slice(entities[i].start, entities[i].end);
    return `${said(head)} ${type} ${said(tail)}`;
  });

const only = (text: string): Document => {
  const { documents } = parseDocuments(text, 'f');
  return documents[0];
};

/** 𠮷 (U+20BB7) is two UTF-16 code units. */
const chinese = {
  tokens: ['𠮷', '野', '在', ' ', '海', '边'],
  text: '𠮷野在 海边',
  entities: [
    { type: '人', start: 0, end: 2 },
    { type: '地', start: 4, end: 6 },
  ],
  relations: [{ type: '住', head: 0, tail: 1 }],
  orig_id: 'a-1',
};
const english = {
  tokens: ['Mara', 'Voss', 'paints', 'in', 'Elmhaven', '.'],
  entities: [
    { type: 'Person', start: 0, end: 2 },
    { type: 'Place', start: 4, end: 5 },
  ],
  relations: [],
};

test('tokens become UTF-16 offsets: characters with a text, words without', (t) => {
  const { documents, notes } = parseDocuments(JSON.stringify([chinese, english]), 'f');
  t.deepEqual(notes, []);
  const [first, second] = documents;
  t.deepEqual(first.entities, [
    { type: '人', start: 0, end: 3 },
    { type: '地', start: 5, end: 7 },
  ]);
  t.deepEqual([first.id, triplesOf(first)], ['a-1', ['𠮷野 住 海边']]);
  t.equal(second.text, 'Mara Voss paints in Elmhaven .');
  t.deepEqual(mentions(second), ['Person Mara Voss', 'Place Elmhaven']);
  const spaced = only(JSON.stringify({ ...english, text: 'Mara  Voss paints\nin Elmhaven.' }));
  t.deepEqual(mentions(spaced), ['Person Mara  Voss', 'Place Elmhaven'], 'a text with other white space');
  t.end();
});

test('predictions are written in the form of their source and read back', (t) => {
  const own = {
    text: '💡亮，灯',
    entities: [{ type: '物', start: 0, end: 2, score: 0.5 }],
    relations: [],
    id: 7,
  };
  const empty = ['', ' \n'].map((text) => ({ ...own, text, entities: [] }));
  const source = [chinese, english, ...empty, own];
  const { documents, notes } = parseDocuments(source.map((row) => JSON.stringify(row)).join('\n'), 'f');
  const again = parseDocuments(documentsJson(documents), 'g');
  t.deepEqual(again.documents, documents);
  t.deepEqual(notes, ['sentences without a word, left out: 2']);

  const rows = JSON.parse(documentsJson(documents)) as (typeof chinese)[];
  t.deepEqual(rows[0].entities, chinese.entities, 'offsets in tokens again');
  t.deepEqual(rows[0].tokens, chinese.tokens);
  t.notOk('tokens' in rows[2], 'a text without tokens stays one');

  const cut = { ...documents[1], entities: [{ type: 'Place', start: 20, end: 23, score: 0.25 }] };
  const [row] = JSON.parse(documentsJson([cut])) as Record<string, unknown>[];
  t.deepEqual(row.entities, cut.entities, 'a part of a word: UTF-16 offsets, with the score');
  t.deepEqual(mentions(only(documentsJson([cut]))), ['Place Elm']);
  const half = { ...documents[0], entities: [{ type: '人', start: 1, end: 3 }], relations: [] };
  t.equal(
    complaint(() => only(documentsJson([half]))),
    'f: row 1: entities[0].start is 1, inside the surrogate pair of 𠮷',
  );
  t.equal(documentsJson([]), '[\n]\n');
  t.end();
});

test('tagged characters: BMES and BIO, CRLF, white space as a token, tags that do not begin', (t) => {
  const bmes =
    '𠮷 B-NAME\r\n野 E-NAME\r\n　 O\r\n男 S-SEX\r\n\r\n\r\n京\tB-LOC\r\n城\tM-LOC\r\n东\tE-LOC\r\n';
  const { documents, notes } = parseDocuments(`\ufeff${bmes}`, 'f');
  t.deepEqual(
    documents.map(({ text }) => text),
    ['𠮷野　男', '京城东'],
  );
  t.deepEqual(documents.map(mentions), [['NAME 𠮷野', 'SEX 男'], ['LOC 京城东']]);
  t.deepEqual(notes, ['read as CoNLL columns: 2 columns, BMES tags']);
  t.deepEqual(parseDocuments(documentsJson(documents), 'g').documents, documents, 'written and read');

  const bio = '\n  O\n李 B-P\n雷 I-P\n韩 B-P\n梅 I-Q\n, O\n站 I-L\n';
  const second = parseDocuments(bio, 'f');
  t.deepEqual(mentions(second.documents[0]), ['P 李雷', 'P 韩', 'Q 梅', 'L 站']);
  t.equal(second.documents[0].text, ' 李雷韩梅,站', 'a space can be a token');
  t.deepEqual(second.notes, [
    'read as CoNLL columns: 2 columns, BIO tags',
    'entities that begin with an M, I, E or L tag: 2',
  ]);
  t.deepEqual(mentions(only('甲 S-A\n乙 M-A\n')), ['A 甲', 'A 乙'], 'S ends its entity');
  t.deepEqual(mentions(only('Mara B-P\nVoss I-P\nsings O\n')), ['P Mara Voss'], 'words');
  t.equal(
    complaint(() => parseDocuments('甲 B-A\n\n乙 X-A\n', 'f')),
    'f: line 3: not a token and its tag (O, or B-, I-, M-, E-, S-, L- or U- and a type)',
  );
  t.end();
});

const triple = (subject: string, predicate: string, object: unknown, types: [string, unknown]) => ({
  subject,
  predicate,
  object,
  subject_type: types[0],
  object_type: types[1],
});

test('triples without positions stand where their strings are nearest', (t) => {
  const row = {
    text: '阿木和小岚：阿木在《长夜》里演小岚的哥哥，小岚唱《长夜》主题曲《长夜灯》',
    spo_list: [
      triple('阿木', '出演', { '@value': '长夜', role: ' 哥哥 ' }, ['人', { '@value': '剧', role: '人' }]),
      triple('小岚', '演唱', '长夜灯', ['人', '歌']),
      triple('小岚', '演唱', '长夜灯', ['人', '歌']),
      triple('长夜', '主题曲', '长夜灯', ['剧', '歌']),
      triple('小岚', '导演', '雨天', ['人', '剧']),
    ],
  };
  const { documents, notes } = parseDocuments(JSON.stringify(row), 'f');
  t.deepEqual(triplesOf(documents[0]), [
    '阿木 出演 长夜',
    '阿木 出演/role 哥哥',
    '小岚 演唱 长夜灯',
    '长夜 主题曲 长夜灯',
  ]);
  const { entities, relations } = documents[0];
  t.deepEqual(
    entities.map(({ type, start }) => `${type}${start}`),
    ['人6', '剧10', '人18', '人21', '剧25', '歌32'],
    'nearest, sorted, each once; the song is not its own series',
  );
  t.equal(relations.length, 4);
  t.deepEqual(notes, [
    'read as DuIE triples',
    'triples of which a string occurs more than once: 6 of 6; marked where the two stand nearest',
    'triples of which a string does not occur, or is both ends: 1 of 6; left out',
  ]);

  const nested = { text: '长夜灯', spo_list: [triple('长夜', '歌', '长夜灯', ['剧', '歌'])] };
  t.deepEqual(
    triplesOf(only(JSON.stringify(nested))),
    ['长夜 歌 长夜灯'],
    'overlapping where nothing else is',
  );
  const loop = { text: '阿木', spo_list: [triple('阿木', '是', '阿木', ['人', '人'])], id: 3 };
  t.deepEqual(only(JSON.stringify(loop)), { text: '阿木', entities: [], relations: [], id: 3 });
  const message = complaint(() =>
    parseDocuments(JSON.stringify([{ text: 'a', spo_list: [{ subject: 'a' }] }]), 'f'),
  );
  t.equal(message, 'f: row 1: spo_list[0].predicate is missing');
  t.end();
});

test('what is none of the formats is one line', (t) => {
  const cases: [name: string, text: string, message: string][] = [
    ['empty', ' \n', 'f: holds no document'],
    ['no rows', '[]', 'f: holds no document'],
    [
      'text',
      '今天天气很好。\n',
      'f: neither JSON nor lines of a word and its tag, such as "Ada B-Person": it begins with "今天天气很好。"; docs/formats.md lists what is read',
    ],
    ['cut short', '[\n{"tokens": ["a"],\n', 'f: line 2: not JSON (the text ends early)'],
    [
      'another JSON',
      '[{"sentence": "a"}]',
      'f: row 1: is of no known format (see docs/formats.md): the keys sentence',
    ],
    ['no row', '[3]', 'f: row 1: is 3, not an object'],
    [
      'another text',
      JSON.stringify([chinese, { ...english, text: 'Mara Vosa paints in Elmhaven .' }]),
      'f: row 2: tokens[1] is "Voss", which does not come next in the text',
    ],
    [
      'beyond the text',
      JSON.stringify([{ text: '灯', entities: [{ type: '物', start: 0, end: 2 }] }]),
      'f: row 1: entities[0].end is 2, but the text has 1 characters',
    ],
    [
      'a token without characters',
      JSON.stringify([{ tokens: ['', 'a'], entities: [{ type: 'A', start: 0, end: 1 }] }]),
      'f: row 1: entities[0] covers no character',
    ],
  ];
  for (const [name, text, message] of cases)
    t.equal(
      complaint(() => parseDocuments(text, 'f')),
      message,
      name,
    );
  const folder = mkdtempSync(join(tmpdir(), 'spanwise-'));
  writeFileSync(join(folder, 'a.bmes'), '甲 S-A\n');
  t.deepEqual(mentions(readCorpus(cerem, join(folder, 'a.bmes')).documents[0]), ['A 甲']);
  rmSync(folder, { recursive: true });
  t.end();
});

test('notes count texts with what is hard to learn or return', (t) => {
  const spans = (...list: [type: string, start: number, end: number][]): Document => ({
    text: 'abcdefgh',
    entities: list.map(([type, start, end]) => ({ type, start, end })),
    relations: [],
  });
  const documents: Document[] = [
    spans(['A', 0, 2], ['B', 2, 4]),
    spans(['A', 0, 2], ['B', 0, 2], ['A', 5, 6], ['A', 5, 6]),
    spans(['A', 0, 4], ['B', 4, 5], ['B', 0, 2]),
    {
      ...spans(['B', 3, 6], ['A', 1, 4]),
      relations: [
        { type: 'r', head: 0, tail: 1 },
        { type: 's', head: 0, tail: 1 },
        { type: 's', head: 1, tail: 0 },
      ],
    },
    { text: 'x'.repeat(12), entities: [], relations: [] },
  ];
  t.deepEqual(documentNotes(documents, 10), [
    'texts with one entity twice: 1 of 5',
    'texts with two types on one span: 1 of 5',
    'texts with nested entities: 1 of 5',
    'texts with crossing entities: 1 of 5',
    'texts with relations between overlapping entities: 1 of 5',
    'texts with several relations between two entities: 1 of 5',
    'texts of more than 10 characters: 1 of 5',
  ]);
  t.deepEqual(documentNotes(documents.slice(0, 1)), []);
  t.end();
});

/** Whether two large values are the same; tape's deepEqual takes seconds. */
const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

const read = ({ path }: TestFile) => readCorpus(cerem, path);
const total = (documents: readonly Document[], key: 'entities' | 'relations'): number =>
  documents.reduce((sum, document) => sum + document[key].length, 0);

const corpora: [file: TestFile, rows: number, entities: number, relations: number][] = [
  [own('words.json'), 9, 27, 12],
  [own('faults.json'), 6, 20, 10],
  [own('events.json'), 3, 15, 12],
  [own('triples.jsonl'), 3, 8, 5],
  [own('tags.char.bmes'), 4, 7, 0],
  [published('conll04/conll04_dev.json'), 231, 893, 343],
  [published('duie_sample/duie_train.json'), 4000, 11401, 7502],
  [published('duie_sample/duie_dev.json'), 2000, 5724, 3764],
  [published('bdci2022_fault/bdci_train.json'), 1200, 9849, 5424],
  [published('bdci2022_fault/bdci_dev.json'), 291, 2291, 1266],
  [published('diakg_sample/diakg_sample.json'), 83, 424, 173],
  [published('cec_events/cec_train.json'), 1825, 12063, 10076],
  [published('cec_events/cec_dev.json'), 212, 1306, 1035],
  [published('cec_events/cec_docs_train.json'), 275, 12063, 13444],
  [published('cec_events/cec_docs_dev.json'), 26, 1306, 1419],
  [published('resume_ner/resume_test.json'), 477, 1630, 0],
];
for (const [file, rows, entities, relations] of corpora) {
  const { name, skip } = file;
  test(`${name} has the counts that are known of it, and round trips`, { skip }, (t) => {
    const { documents } = read(file);
    t.deepEqual(
      [documents.length, total(documents, 'entities'), total(documents, 'relations')],
      [rows, entities, relations],
      name,
    );
    const again = parseDocuments(documentsJson(documents), name).documents;
    t.ok(same(again, documents), `${name} written and read`);
    t.end();
  });
}

/** Facts with positions, in an order of their own. */
const facts = ({ text, entities, relations }: Document) => ({
  text,
  entities: entities.map((e) => JSON.stringify(e)).sort(),
  relations: relations.map((r) => JSON.stringify([r.type, entities[r.head], entities[r.tail]])).sort(),
});

for (const [original, converted, notes] of [
  [own('tags.char.bmes'), own('tags.json'), [/^read as CoNLL columns/]],
  [own('triples.jsonl'), own('triples.json'), [/^read as DuIE triples$/, /: 2 of 5;/]],
  [
    published('resume_ner/original_train.char.bmes'),
    published('resume_ner/resume_train.json'),
    [/^read as CoNLL columns/, /^entities that begin with an M, I, E or L tag: 2$/],
  ],
  [published('resume_ner/original_dev.char.bmes'), published('resume_ner/resume_dev.json'), [/^read as/]],
  [published('resume_ner/original_test.char.bmes'), published('resume_ner/resume_test.json'), [/^read as/]],
  [
    published('duie_sample/original_train.jsonl'),
    published('duie_sample/duie_train.json'),
    [/^read as/, /: 1739 of 7514;/],
  ],
  [
    published('duie_sample/original_dev.jsonl'),
    published('duie_sample/duie_dev.json'),
    [/^read as/, /: 810 of 3767;/],
  ],
] as const)
  test(`${original.name} reads as ${converted.name}`, { skip: original.skip || converted.skip }, (t) => {
    const { documents, notes: given } = read(original);
    t.ok(same(documents.map(facts), read(converted).documents.map(facts)));
    t.equal(given.length, notes.length, given.join('; '));
    notes.forEach((note, i) => t.match(given[i], note));
    t.end();
  });

const fault = published('bdci2022_fault/original_all.jsonl');
test('triples of another form are refused', { skip: fault.skip }, (t) => {
  t.match(
    complaint(() => read(fault)),
    /original_all\.jsonl: \d+ bad rows .*: row 1: spo_list\[0\]\.predicate is missing; row 2: /,
  );
  t.end();
});

for (const [file, notes] of [
  [own('words.json'), ['texts with two types on one span: 1 of 9', 'texts with nested entities: 3 of 9']],
  [own('faults.json'), ['texts with crossing entities: 1 of 6']],
  [
    published('duie_sample/duie_train.json'),
    [
      'texts with two types on one span: 279 of 4000',
      'texts with nested entities: 56 of 4000',
      'texts with crossing entities: 2 of 4000',
    ],
  ],
  [published('bdci2022_fault/bdci_train.json'), ['texts with nested entities: 105 of 1200']],
  [published('diakg_sample/diakg_sample.json'), ['texts with nested entities: 24 of 83']],
] as const)
  test(`notes of ${file.name}`, { skip: file.skip }, (t) => {
    const given = documentNotes(read(file).documents);
    for (const note of notes) t.ok(given.includes(note), `${note}: ${given.join('; ')}`);
    t.end();
  });
