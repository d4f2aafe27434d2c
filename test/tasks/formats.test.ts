/** Each format by a sample of our own, as its tools write it: recognised, named in a note, read. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'tape';
import { InputError } from '../../kernels/errors.ts';
import { readCorpus } from '../../src/tasks/corpus-file.ts';
import { parseDocuments } from '../../src/tasks/corpus/parse.ts';
import type { ReadOptions } from '../../src/tasks/corpus/reading.ts';
import type { Files } from '../../src/tasks/corpus/row.ts';
import { parseSentences } from '../../src/tasks/corpus/sentences.ts';
import { cerem } from '../../src/tasks/prompts/cerem.ts';
import { stsn } from '../../src/tasks/spans/stsn.ts';

function complaint(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return error instanceof InputError ? error.message : `not an InputError: ${String(error)}`;
  }
  return '';
}

/** What a corpus says, a line a row: `P Ilse Korn; P Ilse Korn > sails > L Tolm`. */
function said(
  content: string | Files,
  options?: ReadOptions,
): { lines: string[]; notes: string[]; ids: unknown[] } {
  const { documents, notes } = parseDocuments(content, 'f', options);
  const lines = documents.map(({ text, entities, relations }) => {
    const names = entities.map((e) => `${e.type} ${text.slice(e.start, e.end)}`);
    return [
      ...names,
      ...relations.map(({ type, head, tail }) => `${names[head]} > ${type} > ${names[tail]}`),
    ].join('; ');
  });
  return { lines, notes, ids: documents.map(({ id }) => id) };
}

const lines = (...records: unknown[]): string => records.map((record) => JSON.stringify(record)).join('\n');

const passedOver = 'rows that were rejected, skipped or not annotated, left out';
const sails = ['P Ilse Korn; L Tolm; P Ilse Korn > sails > L Tolm'];
const words = ['Ilse', 'Korn', 'sails', 'to', 'Tolm', '.'];
const text = 'Ilse Korn sails to Tolm.';

test('DyGIE++ and SciERC: offsets of the document, end inclusive, a row a sentence', (t) => {
  const document = {
    doc_key: 'log',
    dataset: 'own',
    sentences: [words, ['Tolm', 'lies', 'by', 'Norvia', '.']],
    ner: [
      [
        [0, 1, 'P'],
        [4, 4, 'L'],
      ],
      [
        [6, 6, 'L', 0.9, 0.8],
        [9, 9, 'L'],
      ],
    ],
    relations: [
      [[0, 1, 4, 4, 'sails']],
      [
        [6, 6, 9, 9, 'by'],
        [6, 6, 8, 8, 'by'],
      ],
    ],
    clusters: [
      [
        [4, 4],
        [6, 6],
      ],
    ],
  };
  const { lines: found, notes, ids } = said(lines(document));
  t.deepEqual(found, [...sails, 'L Tolm; L Norvia; L Tolm > by > L Norvia']);
  t.deepEqual(ids, ['log#0', 'log#1']);
  t.deepEqual(notes, [
    'read as DyGIE++ / SciERC JSON',
    'clusters of coreferent spans, left out: 1',
    'relations between spans that are no entities of their sentence, left out: 1',
  ]);
  const { sentences } = parseSentences(lines(document), 'f');
  t.deepEqual([sentences[1].tokens[0], sentences[1].entities[1]], ['Tolm', { type: 'L', start: 3, end: 4 }]);
  t.deepEqual(said(JSON.stringify([{ sentences: [words], doc_key: 3 }])).ids, [3], 'without annotations');
  t.equal(
    complaint(() => said(lines(document, { ...document, ner: [[], [[4, 6, 'L']]] }))),
    'f: row 2: ner[1][0] goes from token -2 to 0, but the sentence has 5 tokens',
  );
  t.equal(
    complaint(() => said(lines({ ...document, ner: [[]] }))),
    'f: row 1: ner has 1 lists for 2 sentences',
  );
  t.end();
});

test('CoNLL columns: any number of them, -DOCSTART-, comments, blanks after the tag, ids and texts', (t) => {
  const four = [
    '-DOCSTART- -X- -X- O',
    '',
    '# sent_id = a-7',
    '# source = own',
    'Ilse NNP B-NP B-P ',
    'Korn NNP I-NP I-P\t',
    'sails VBZ B-VP O',
    'to TO B-PP O',
    'Tolm NNP B-NP B-L',
    '. . O O',
    '',
    '# O O O',
    'Norvia NNP B-NP B-L',
    '',
  ].join('\r\n');
  const { lines: found, notes, ids } = said(four);
  t.deepEqual(found, ['P Ilse Korn; L Tolm', 'L Norvia']);
  t.deepEqual([notes, ids], [['read as CoNLL columns: 4 columns, BIO tags'], ['a-7', undefined]]);
  t.deepEqual(said('# text = Ilse  Korn\nIlse B-P\nKorn I-P\n').lines, ['P Ilse  Korn'], 'its own text');
  t.deepEqual(said('# text = Another\nIlse B-P\n'), {
    lines: ['P Ilse'],
    notes: ['read as CoNLL columns: 2 columns, BIO tags', 'texts that are not their tokens, left aside: 1'],
    ids: [undefined],
  });
  t.deepEqual(said('1\tIlse\tNNP\tB-P\n2\tKorn\tNNP\tI-P\n').lines, ['P Ilse Korn'], 'numbered tokens');
  t.deepEqual(
    said('Ilse B-crew member\n'.replace(' B', '\tB')).lines,
    ['crew member Ilse'],
    'a type with a blank',
  );
  t.equal(
    complaint(() => said('Ilse B-P\nKorn\n\nTolm L-\n\nok O\n')),
    'f: 2 bad rows (--on-bad skip leaves them out): line 2: not a token and its tag (O, or B-, I-, M-, E-, S-, L- or U- and a type); line 4: not a token and its tag (O, or B-, I-, M-, E-, S-, L- or U- and a type)',
  );
  t.end();
});

test('CoNLL tags: IOB1, BIOES, BILOU', (t) => {
  const column = (...tags: string[]): string => tags.map((tag, i) => `w${i} ${tag}\n`).join('');
  const cases: [string[], string, string][] = [
    [['I-P', 'I-P', 'O', 'I-L', 'B-L', 'I-L'], 'P w0 w1; L w3; L w4 w5', 'IOB1'],
    [['B-P', 'E-P', 'S-L', 'S-L', 'O', 'B-P', 'I-P', 'E-P'], 'P w0 w1; L w2; L w3; P w5 w6 w7', 'BIOES'],
    [['B-P', 'L-P', 'U-L', 'U-L', 'O', 'B-P', 'I-P', 'L-P'], 'P w0 w1; L w2; L w3; P w5 w6 w7', 'BILOU'],
    [['B-P', 'I-P', 'B-P', 'O', 'O', 'B-L'], 'P w0 w1; P w2; L w5', 'BIO'],
  ];
  for (const [tags, expected, scheme] of cases)
    t.deepEqual(
      said(column(...tags)),
      { lines: [expected], notes: [`read as CoNLL columns: 2 columns, ${scheme} tags`], ids: [undefined] },
      scheme,
    );
  t.end();
});

const ann = [
  'T1\tP 0 9\tIlse Korn',
  'T2\tL 19 23\tTolm',
  'R1\tsails Arg1:T1 Arg2:T2\t',
  '#1\tAnnotatorNotes T1\tsure',
].join('\n');

test('brat: a folder, a single .ann, events, gaps, code points', (t) => {
  const found = said({
    'a2.txt': text,
    'a2.ann': ann,
    'a10.txt': `🦉 ${text}`,
    'a10.ann': 'T1\tP 2 11\tIlse Korn\n',
  });
  t.deepEqual(found.lines, [...sails, 'P Ilse Korn'], 'numbers in their order');
  t.deepEqual(found.ids, ['a2', 'a10']);
  t.deepEqual(found.notes, ['read as brat standoff', 'comments, left out: 1']);
  const units = said({ 'b.txt': `🦉 ${text}`, 'b.ann': 'T1\tP 3 12\tIlse Korn\n' });
  t.deepEqual(units.lines, ['P Ilse Korn'], 'UTF-16, as what it covers shows');
  t.match(units.notes[1], /count UTF-16 code units, not code points/);
  const events =
    'T1\tP 0 9\tIlse Korn\nT2\tMove 10 15\tsails\nT3\tL 19 23\tTolm\nT4\tX 0 4;10 15\tIlse sails\nE1\tMove:T2 Who:T1 To:T3\n';
  t.deepEqual(said({ 'c.txt': text, 'c.ann': events }).lines, [
    'P Ilse Korn; Move sails; L Tolm; Move sails > Who > P Ilse Korn; Move sails > To > L Tolm',
  ]);
  t.deepEqual(said({ 'c.txt': text, 'c.ann': events }).notes, [
    'read as brat standoff',
    'entities with a gap, left out: 1',
  ]);
  t.equal(
    complaint(() =>
      said({ 'd.txt': text, 'd.ann': 'T1\tP 0 9\tIlse Korn\nR1\tr Arg1:T1 Arg2:T7\n', 'e.ann': '' }),
    ),
    'f: 2 bad rows (--on-bad skip leaves them out): d.ann: line 2: names T7, which is not there; e.ann: has no text: e.txt is not there',
  );

  const folder = mkdtempSync(join(tmpdir(), 'spanwise-'));
  t.equal(
    complaint(() => readCorpus(cerem, folder)),
    `corpus ${folder}: is a folder, not a file`,
  );
  writeFileSync(join(folder, 'log.txt'), text);
  writeFileSync(join(folder, 'log.ann'), ann);
  t.equal(readCorpus(cerem, folder).documents[0].relations.length, 1);
  t.deepEqual(readCorpus(stsn, join(folder, 'log.ann')).sentences[0].tokens, words, 'words of its text');
  rmSync(folder, { recursive: true });
  t.end();
});

test('what is no text, and options that there are not', (t) => {
  t.equal(
    complaint(() => said(null as unknown as string)),
    'f: must be a text, or files by name',
  );
  for (const options of [{ offsets: 'bytes' }, { onBad: 'Skip' }])
    t.match(
      complaint(() => said('[]', options as ReadOptions)),
      /^option "(offsets|onBad)" must be one of /,
    );
  t.end();
});

test('doccano: labels, entities with relations, and what is no span', (t) => {
  const relations = {
    id: 9,
    text,
    entities: [
      { id: 31, label: 'P', start_offset: 0, end_offset: 9 },
      { id: 32, label: 'L', start_offset: 19, end_offset: 23 },
    ],
    relations: [{ id: 5, from_id: 31, to_id: 32, type: 'sails' }],
    Comments: [],
  };
  t.deepEqual(said(lines(relations)), { lines: sails, notes: ['read as doccano JSONL'], ids: [9] });
  const labels = [
    {
      id: 1,
      text,
      label: [
        [0, 9, 'P'],
        [19, 23, 'L'],
      ],
    },
    { id: 2, data: text, labels: [[19, 23, 'L']] },
    { id: 3, text, label: [] },
  ];
  t.deepEqual(said(lines(...labels)).lines, ['P Ilse Korn; L Tolm', 'L Tolm', '']);
  t.deepEqual(parseSentences(lines(...labels), 'f').sentences[1].entities, [{ type: 'L', start: 4, end: 5 }]);
  t.equal(
    complaint(() => said(lines({ text, label: ['harbour'] }))),
    'f: row 1: label[0] is "harbour", a class of the whole text, not a span',
  );
  t.equal(
    complaint(() => said(lines({ ...relations, relations: [{ id: 5, from_id: 31, to_id: 3, type: 'r' }] }))),
    'f: row 1: relations[0].to_id is 3, the id of no entity',
  );
  t.end();
});

test('Label Studio: regions, relations either way, JSON-MIN', (t) => {
  const region = (id: string, start: number, end: number, labels: string[]) => ({
    ...{ id, from_name: 'label', to_name: 'text', type: 'labels' },
    value: { start, end, text: text.slice(start, end), labels },
  });
  const arrow = { from_id: 'b', to_id: 'a', type: 'relation', direction: 'left', labels: ['sails'] };
  const result = [arrow, region('a', 0, 9, ['P']), region('b', 19, 23, ['L'])];
  const task = {
    id: 4,
    data: { text },
    annotations: [{ was_cancelled: true, result: [] }, { result }, { result: [] }],
  };
  const { lines: found, notes } = said(JSON.stringify([task]));
  t.deepEqual(found, sails);
  t.deepEqual(notes, ['read as Label Studio JSON', 'further annotations of a task, left out: 1']);
  const both = { ...arrow, direction: 'bi' };
  const two = said(JSON.stringify([{ ...task, annotations: [{ result: [both, ...result.slice(1)] }] }]))
    .lines[0];
  t.equal(two.split('; ').length, 4, 'both directions');
  const minimal = [
    { id: 4, text, label: [{ start: 0, end: 9, text: 'Ilse Korn', labels: ['P', 'Crew'] }], annotator: 1 },
  ];
  t.deepEqual(said(JSON.stringify(minimal)).lines, ['P Ilse Korn; Crew Ilse Korn']);
  t.end();
});

test('spaCy: pairs, under annotations, and spans', (t) => {
  const pair = [
    text,
    {
      entities: [
        [0, 9, 'P'],
        [19, 23, 'L'],
      ],
    },
  ];
  const expected = { lines: ['P Ilse Korn; L Tolm'], notes: ['read as spaCy offsets'], ids: [undefined] };
  t.deepEqual(said(JSON.stringify([pair])), expected);
  t.deepEqual(said(lines(pair, pair)).lines.length, 2, 'a pair a line');
  t.deepEqual(said(JSON.stringify({ classes: ['P'], annotations: [null, pair] })), {
    ...expected,
    notes: [...expected.notes, `${passedOver}: 1`],
  });
  t.equal(
    complaint(() =>
      said(JSON.stringify({ classes: ['P'], annotations: [null, pair, [text, { entities: 3 }]] })),
    ),
    'f: row 3: entities is 3, not a list',
    'rows as the file numbers them',
  );
  t.deepEqual(said(lines({ text, spans: [{ start: 0, end: 9, label: 'P' }] })).lines, ['P Ilse Korn']);
  t.deepEqual(said(lines({ text, entities: pair[1] ? [[19, 23, 'L']] : [] })).lines, ['L Tolm']);
  t.end();
});

test('what was rejected, skipped or never annotated is no gold', (t) => {
  const spans = [{ start: 0, end: 9, label: 'P' }];
  const answers = ['reject', 'accept', 'ignore'].map((answer) => ({ text, spans, answer }));
  const prodigy = said(lines(...answers, { text, answer: 'ignore' }, { text, answer: 'accept' }));
  t.deepEqual(
    [prodigy.lines, prodigy.notes],
    [
      ['P Ilse Korn', ''],
      ['read as spaCy offsets', `${passedOver}: 3`],
    ],
  );
  const tasks = [[], [{ was_cancelled: true, result: [] }], [{ result: [] }]].map((annotations, id) => ({
    ...{
      id,
      data: { text },
      annotations,
      predictions: [{ result: [{ value: { start: 0, end: 9, labels: ['P'] } }] }],
    },
  }));
  const { notes, ids } = said(JSON.stringify(tasks));
  t.deepEqual([notes, ids], [['read as Label Studio JSON', `${passedOver}: 2`], [2]]);
  t.equal(
    complaint(() => said(JSON.stringify(tasks.slice(0, 2)))),
    `f: holds no document (${passedOver}: 2)`,
  );
  t.end();
});

test('an id that two entities have', (t) => {
  const region = (id: string, start: number, end: number, label: string) => ({
    ...{ id, type: 'labels', value: { start, end, labels: [label] } },
  });
  const task = (...result: object[]) => JSON.stringify([{ data: { text }, annotations: [{ result }] }]);
  const ilse = region('a', 0, 9, 'P');
  t.equal(
    complaint(() => said(task(ilse, region('a', 19, 23, 'L')))),
    'f: row 1: annotations[0].result[1].value has the id "a", as annotations[0].result[0].value, which is another span',
  );
  t.deepEqual(
    said(task(ilse, region('a', 0, 9, 'Crew'))).lines,
    ['P Ilse Korn; Crew Ilse Korn'],
    'one region',
  );
  const span = { label: 'P', start_offset: 0, end_offset: 9 };
  const doccano = (...entities: object[]) => lines({ text, entities, relations: [] });
  t.equal(
    complaint(() => said(doccano({ id: 0, ...span }, { id: 1, ...span }, { id: 0, ...span }))),
    'f: row 1: entities[2].id is 0, as that of entities[0]',
  );
  t.equal(said(doccano(span, span)).lines.length, 1, 'entities without ids');
  const brat = (more: string) => ({ 'b.txt': text, 'b.ann': `T1\tP 0 9\tIlse Korn\n${more}` });
  for (const [again, id] of [
    ['T1\tL 19 23\tTolm\n', 'T1'],
    ['E1\tP:T1\nE1\tP:T1\n', 'E1'],
  ])
    t.match(
      complaint(() => said(brat(again))),
      new RegExp(`^f: b\\.ann: line \\d: is ${id}, as a line before it$`),
    );
  t.end();
});

test('GLiNER, W2NER, TACRED, UIE', (t) => {
  const gliner = {
    tokenized_text: words,
    ner: [
      [0, 1, 'P'],
      [4, 4, 'L'],
    ],
    relations: [[0, 1, 'sails']],
  };
  t.deepEqual(said(JSON.stringify([gliner])), {
    lines: sails,
    notes: ['read as GLiNER JSON'],
    ids: [undefined],
  });
  const w2ner = {
    sentence: [...'去托木港'],
    ner: [
      { index: [1, 2, 3], type: '地' },
      { index: [0, 3], type: '地' },
    ],
    word: [['去', '托木港']],
  };
  t.deepEqual(said(JSON.stringify([w2ner])), {
    lines: ['地 托木港'],
    notes: ['read as W2NER JSON', 'entities with a gap, left out: 1'],
    ids: [undefined],
  });
  const example = (relation: string, subj: [number, number, string], obj: [number, number, string]) => ({
    ...{ id: 'x', docid: 'log', relation, token: words },
    ...{ subj_start: subj[0], subj_end: subj[1], subj_type: subj[2] },
    ...{ obj_start: obj[0], obj_end: obj[1], obj_type: obj[2], stanford_ner: ['O'] },
  });
  const tacred = [
    example('sails', [0, 1, 'P'], [4, 4, 'L']),
    example('no_relation', [4, 4, 'L'], [0, 0, 'N']),
  ];
  t.deepEqual(said(JSON.stringify(tacred)), {
    lines: ['P Ilse Korn; L Tolm; N Ilse; P Ilse Korn > sails > L Tolm'],
    notes: ['read as TACRED JSON'],
    ids: ['log'],
  });
  const mention = (type: string, offset: number[]) => ({ type, offset, text: '' });
  const uie = {
    text: words.join(' '),
    tokens: words,
    entity: [mention('P', [0, 1]), mention('L', [4])],
    relation: [{ type: 'sails', args: [mention('P', [0, 1]), mention('L', [4])] }],
    event: [{ ...mention('Move', [2]), args: [mention('Who', [0, 1]), mention('When', [3])] }],
  };
  t.deepEqual(said(lines(uie)), {
    lines: ['P Ilse Korn; L Tolm; Move sails; P Ilse Korn > sails > L Tolm; Move sails > Who > P Ilse Korn'],
    notes: ['read as UIE JSON', 'relations of which an end is no entity, left out: 1'],
    ids: [undefined],
  });
  t.end();
});

test('UIE prompts: the rows of a text make a document', (t) => {
  const content = '伊娜驾船去托木港,伊娜的船叫白鸥';
  const asked = (prompt: string, ...spans: [number, number][]) => ({
    content,
    result_list: spans.map(([start, end]) => ({ text: content.slice(start, end), start, end })),
    prompt,
  });
  const rows = [
    asked('人', [0, 2], [9, 11]),
    asked('伊娜的目的地', [5, 8]),
    asked('地', [5, 8]),
    asked('伊娜的船名', [14, 16]),
    asked('船长的家'),
  ];
  t.deepEqual(said(lines(...rows, { ...asked('人'), content: '风大' })), {
    lines: [
      '人 伊娜; 人 伊娜; 地 托木港; object 白鸥; 人 伊娜 > 目的地 > 地 托木港; 人 伊娜 > 船名 > object 白鸥',
      '',
    ],
    notes: [
      'read as UIE prompts (PaddleNLP)',
      'relations of a subject that stands in several places, put at the nearest: 2',
      'objects of relations that no prompt finds, now of type "object": 1',
    ],
    ids: [undefined, undefined],
  });
  t.end();
});

test('Hugging Face: tags by name, by number with --labels, IOB1', (t) => {
  const row = (tags: unknown[], key = 'ner_tags') => ({ id: '0', tokens: words, [key]: tags });
  const named = ['B-P', 'I-P', 'O', 'O', 'B-L', 'O'];
  const expected = {
    lines: ['P Ilse Korn; L Tolm'],
    notes: ['read as Hugging Face token classification JSON'],
    ids: ['0'],
  };
  t.deepEqual(said(lines(row(named))), expected);
  t.deepEqual(
    said(lines(row([1, 2, 0, 0, 3, 0], 'labels')), { labels: ['O', 'B-P', 'I-P', 'B-L'] }),
    expected,
  );
  t.deepEqual(said(lines(row(['I-P', 'I-P', 'O', 'O', 'I-L', 'O']))), expected);
  t.equal(
    complaint(() => said(lines(row([1, 2, 0, 0, 3, 0])))),
    'f: row 1: ner_tags[0] is a number: say with --labels what the numbers stand for, such as O,B-PER,I-PER',
  );
  t.equal(
    complaint(() => said(lines(row(named.slice(1))))),
    'f: row 1: ner_tags has 5 tags for 6 tokens',
  );
  t.end();
});

test('a format may be said, and rows of several stand in one file', (t) => {
  const mixed = lines({ text, label: [[0, 9, 'P']] }, { tokenized_text: words, ner: [[4, 4, 'L']] });
  t.deepEqual(said(mixed), {
    lines: ['P Ilse Korn', 'L Tolm'],
    notes: ['read as doccano JSONL', 'read as GLiNER JSON'],
    ids: [undefined, undefined],
  });
  t.deepEqual(said(lines({ text, entities: [] }), { format: 'spacy' }).notes, ['read as spaCy offsets']);
  t.match(
    complaint(() => said(mixed, { format: 'dygiepp' })),
    /^there is no format "dygiepp" \(spert, text, dygie, conll, /,
  );
  t.match(
    complaint(() => said(mixed, { format: 'gliner' })),
    /^f: row 1: tokenized_text is missing$/,
  );
  t.end();
});
