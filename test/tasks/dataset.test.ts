import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'tape';
import { InputError } from '../../kernels/errors.ts';
import { checkLabels, labelSets, parseSpertJson } from '../../src/tasks/dataset.ts';
import { readCorpus } from '../../src/tasks/corpus-file.ts';
import { stsn } from '../../src/tasks/spans/stsn.ts';
import { jsonErrorOffset } from '../../src/io/json.ts';
import { own, published, type TestFile } from './data.ts';

const good = {
  tokens: ['Ada', 'Quill', 'tunes', 'organs', 'in', 'Fennmoor'],
  entities: [
    { type: 'Person', start: 0, end: 2 },
    { type: 'Place', start: 5, end: 6 },
  ],
  relations: [{ type: 'works-in', head: 0, tail: 1 }],
};

/** The message of the InputError that parsing gives; '' where it gives none. */
function complaint(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return error instanceof InputError ? error.message : `not an InputError: ${String(error)}`;
  }
  return '';
}

test('a JSON array and JSON lines give the same sentences', (t) => {
  const rows = [
    { ...good, orig_id: 'a-1', text: 'ignored', sentences: [[0, 3]] },
    { ...good, id: 4, orig_id: 5, entities: [{ ...good.entities[0], subtype: 'x' }], relations: undefined },
  ];
  const expected = [
    { ...good, id: 'a-1' },
    { tokens: good.tokens, entities: [good.entities[0]], relations: [], id: 4 },
  ];
  t.deepEqual(parseSpertJson(JSON.stringify(rows), 'f'), expected, 'array');
  t.deepEqual(
    parseSpertJson(`\ufeff${JSON.stringify(rows, null, 2)}\n`, 'f'),
    expected,
    'indented, with a BOM',
  );
  const lines = rows.map((row) => JSON.stringify(row)).join('\r\n\n');
  t.deepEqual(parseSpertJson(`\n${lines}\n`, 'f'), expected, 'lines, blank ones skipped');
  t.deepEqual(parseSpertJson(JSON.stringify(good), 'f'), [good], 'one line');
  t.end();
});

test('every malformed row is one InputError line that names file, row and field', (t) => {
  const entity = { type: 'Person', start: 0, end: 2 };
  const cases: [string, unknown, string][] = [
    ['a row that is no object', 7, 'is 7, not an object'],
    ['no tokens', { ...good, tokens: undefined }, 'tokens is missing'],
    ['tokens as a string', { ...good, tokens: 'a b' }, 'tokens is "a b", not a list'],
    ['no words', { ...good, tokens: [] }, 'tokens is empty'],
    ['a number among the tokens', { ...good, tokens: ['a', 3] }, 'tokens[1] is 3, not a string'],
    ['no entities', { tokens: ['a'] }, 'entities is missing'],
    ['entity not an object', { ...good, entities: [null] }, 'entities[0] is null, not an object'],
    ['entity without type', { ...good, entities: [{ start: 0, end: 1 }] }, 'entities[0].type is missing'],
    ['empty type', { ...good, entities: [{ ...entity, type: '' }] }, 'entities[0].type is "", not a name'],
    [
      'fractional start',
      { ...good, entities: [{ ...entity, start: 0.5 }] },
      'entities[0].start is 0.5, not an integer',
    ],
    ['no end', { ...good, entities: [{ type: 'A', start: 0 }] }, 'entities[0].end is missing'],
    ['negative start', { ...good, entities: [{ ...entity, start: -1 }] }, 'entities[0].start is -1'],
    [
      'end too far',
      { ...good, entities: [entity, { ...entity, end: 7 }] },
      'entities[1].end is 7, but the sentence has 6 tokens',
    ],
    [
      'empty span',
      { ...good, entities: [{ ...entity, start: 2 }] },
      'entities[0] covers no token: start 2, end 2',
    ],
    ['relations no list', { ...good, relations: {} }, 'relations is {}, not a list'],
    [
      'relation out of range',
      { ...good, relations: [{ type: 'r', head: 0, tail: 2 }] },
      'relations[0].tail is 2, but the sentence has 2 entities',
    ],
    ['negative head', { ...good, relations: [{ type: 'r', head: -1, tail: 1 }] }, 'relations[0].head is -1'],
    [
      'a loop',
      { ...good, relations: [{ type: 'r', head: 1, tail: 1 }] },
      'relations[0] has entity 1 as both head and tail',
    ],
    [
      'relation type a number',
      { ...good, relations: [{ type: 1, head: 0, tail: 1 }] },
      'relations[0].type is 1, not a name',
    ],
  ];
  for (const [name, row, expected] of cases) {
    const message = complaint(() => parseSpertJson(JSON.stringify([good, row]), 'x.json'));
    t.ok(message.startsWith(`x.json: row 2: ${expected}`) && !message.includes('\n'), `${name}: ${message}`);
    if (typeof row !== 'object') continue;
    const lines = `${JSON.stringify(good)}\n${JSON.stringify(row)}`;
    t.equal(
      complaint(() => parseSpertJson(lines, 'x.json')),
      message,
      `${name}: the same from JSON lines`,
    );
  }
  t.end();
});

test('text that is no corpus', (t) => {
  const cases: [string, string, string][] = [
    ['empty', ' \n', 'c: holds no sentence'],
    ['empty list', '[]', 'c: holds no sentence'],
    [
      'an object over several lines',
      '{\n"data": []}',
      'c: neither a JSON array of sentences nor one object a line',
    ],
    ['a string', '"tokens"', 'c: neither a JSON array'],
    ['cut short', `[\n${JSON.stringify(good)},\n`, 'c: line 2: not JSON (the text ends early)'],
    ['a comma too many', `[\n${JSON.stringify(good)},\n]\n`, 'c: line 3: not JSON from "]" on'],
    ['a bad word', `[\n\n{"tokens": [None]}]`, 'c: line 3: not JSON from "None]}]" on'],
    ['bad JSON line', `${JSON.stringify(good)}\n\n{"tokens": ["a"]]\n`, 'c: line 3: not JSON from "]" on'],
    ['text', 'Ada tunes organs.', 'c: line 1: not JSON'],
  ];
  for (const [name, text, expected] of cases) {
    const message = complaint(() => parseSpertJson(text, 'c'));
    t.ok(message.startsWith(expected) && !message.includes('\n'), `${name}: ${message}`);
  }
  t.end();
});

test('jsonErrorOffset agrees with JSON.parse on whether, and says where', (t) => {
  const where: [string, number][] = [
    ['{"a":[1,-2.5e3,true,null,"\\u00e9\\n",{}],"b":{}}', -1],
    [' "x" ', -1],
    ['', 0],
    ['{"a" 1}', 5],
    ['{"a":1,}', 7],
    ['[01]', 2],
    ['[1 2]', 3],
    ['[1}', 2],
    ['["a\tb"]', 1],
    ['["\\x"]', 1],
    ['{1:2}', 1],
    ['[]]', 2],
    ['[,]', 1],
    ['[nul]', 1],
    ['["a', 1],
    ['{"a":', 5],
  ];
  for (const [text, at] of where) {
    t.equal(jsonErrorOffset(text), at, JSON.stringify(text));
    t.equal(complaint(() => JSON.parse(text)) === '', at === -1, 'as JSON.parse');
  }
  t.equal(jsonErrorOffset('['.repeat(200000)), 200000, 'deep nesting does not exhaust the stack');
  t.end();
});

test('label sets are sorted, and checkLabels names the first stranger', (t) => {
  const [one] = parseSpertJson(JSON.stringify([good]), 'f');
  const two = { ...one, entities: [{ type: 'Instrument', start: 3, end: 4 }], relations: [] };
  t.deepEqual(labelSets([one, two]), {
    entityTypes: ['Instrument', 'Person', 'Place'],
    relationTypes: ['works-in'],
  });
  const labels = labelSets([one]);
  t.equal(
    complaint(() => checkLabels({ sentences: [one], file: 'dev.json' }, labels)),
    '',
  );
  t.equal(
    complaint(() => checkLabels({ sentences: [one, two], file: 'dev.json' }, labels)),
    'dev.json: row 2: entities[0].type is "Instrument", not among the model\'s entity types (Person, Place)',
  );
  t.equal(
    complaint(() => checkLabels({ sentences: [one], file: 'dev.json' }, { ...labels, relationTypes: [] })),
    'dev.json: row 1: relations[0].type is "works-in", not among the model\'s relation types (it has none)',
  );
  t.end();
});

test('files: missing, a folder, not UTF-8 (with the byte), and well-formed', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'spanwise-'));
  const path = join(folder, 'rows.json');
  const write = (...parts: (string | number[])[]): void =>
    writeFileSync(path, Buffer.concat(parts.map((part) => Buffer.from(part as string))));
  t.equal(
    complaint(() => readCorpus(stsn, path).sentences),
    `corpus ${path}: no such file or folder`,
  );
  t.equal(
    complaint(() => readCorpus(stsn, folder).sentences),
    `corpus ${folder}: is a folder, not a file`,
  );
  write(JSON.stringify([{ ...good, tokens: ['Ådå', '☃', '🎷', 'd', 'e', 'f'] }]));
  t.deepEqual(readCorpus(stsn, path).sentences[0].tokens.slice(0, 3), ['Ådå', '☃', '🎷']);
  // '["é' is 4 bytes.
  write('["é', [0xe9, 0x20], '"]');
  t.equal(
    complaint(() => readCorpus(stsn, path).sentences),
    `${path}: not UTF-8 at byte 4 (0xe9), in line 1`,
    'Latin-1',
  );
  write('["é', [0xff]);
  t.equal(
    complaint(() => readCorpus(stsn, path).sentences),
    `${path}: not UTF-8 at byte 4 (0xff), in line 1`,
    'never a UTF-8 byte',
  );
  write('["é', [0xf0, 0x9f, 0x8e]);
  t.equal(
    complaint(() => readCorpus(stsn, path).sentences),
    `${path}: not UTF-8 at byte 4 (0xf0), in line 1`,
    'cut in a character',
  );
  write([0xef, 0xbb, 0xbf], '["', [0xed, 0xa0, 0x80], '"]');
  t.equal(
    complaint(() => readCorpus(stsn, path).sentences),
    `${path}: not UTF-8 at byte 5 (0xed), in line 1`,
    'a surrogate, after a BOM',
  );
  rmSync(folder, { recursive: true });
  t.end();
});

const corpora: [TestFile, number, number, number][] = [
  [own('words.json'), 9, 27, 12],
  [own('faults.json'), 6, 20, 10],
  [published('conll04/conll04_train.json'), 922, 3377, 1283],
  [published('scierc/scierc_dev.json'), 275, 811, 455],
  [published('diakg_sample/diakg_sample.json'), 83, 424, 173],
];
for (const [{ name, path, skip }, rows, entities, relations] of corpora) {
  test(`${name} has the counts that are known of it`, { skip }, (t) => {
    const sentences = readCorpus(stsn, path).sentences;
    const total = (size: (s: (typeof sentences)[number]) => number): number =>
      sentences.reduce((sum, s) => sum + size(s), 0);
    t.deepEqual(
      [sentences.length, total((s) => s.entities.length), total((s) => s.relations.length)],
      [rows, entities, relations],
    );
    t.doesNotThrow(() => checkLabels({ sentences, file: name }, labelSets(sentences)));
    t.end();
  });
}
