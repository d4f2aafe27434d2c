/** What people's data do to the commands: rows that one model cannot take, labels that it lacks, formats of other tools. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import test from 'tape';
import { expectFailure, file, fixture, folder, spanwise } from './run.ts';

const model = `${fixture}/both`;

async function run(
  t: test.Test,
  args: readonly string[],
  input?: string,
): Promise<{ stdout: string; stderr: string }> {
  const { status, ...rest } = await spanwise(args, { input });
  t.equal(status, 0, `spanwise ${args[0]}${status === 0 ? '' : `: ${rest.stderr}`}`);
  return rest;
}

test('extract: a line that is too long gives an error field, and the lines beside it their results', async (t) => {
  const text = `Rain\n${'2'.repeat(70)} rain\n\nRain in Rio\n`;
  const { stdout, stderr } = await run(t, ['extract', '--model', model], text);
  const rows = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  t.deepEqual(
    rows.map((row) => row.text),
    text.trimEnd().split('\n'),
    'a line for each line',
  );
  const { text: _, ...second } = rows[1];
  t.deepEqual({ ...second, error: undefined }, { entities: [], relations: [], error: undefined });
  t.match(String(second.error), /^standard input: line 2: 1 word makes 72 word pieces/);
  t.deepEqual(
    rows.map((row) => 'error' in row),
    [false, true, false, false],
  );
  t.match(stderr, /^note: lines without a result: 1 \(standard input: line 2: /);
  const alone = await run(t, ['extract', '--model', model], 'Rain\nRain in Rio\n');
  t.deepEqual(
    alone.stdout.trimEnd().split('\n'),
    [0, 3].map((i) => stdout.split('\n')[i]),
    'as without it',
  );
  t.equal(alone.stderr, '');
});

const pair = [
  { type: 'PER', start: 0, end: 1 },
  { type: 'LOC', start: 1, end: 2 },
];
const good = { tokens: ['Rain', 'Rio'], entities: pair };

test('eval: labels that the model lacks count as missed, bad rows can be left out', async (t) => {
  const rows = [
    good,
    { tokens: ['Rain', 'Rio'], entities: [{ type: 'SHIP', start: 0, end: 1 }], relations: null },
    { tokens: [], entities: [] },
    { tokens: ['a'], entities: [{ type: 'PER', start: 0, end: 2 }] },
    { tokens: ['2'.repeat(70)], entities: [{ type: 'PER', start: 0, end: 1 }] },
  ];
  const data = file('mixed.json', JSON.stringify(rows));
  const { stdout } = await run(t, ['eval', '--model', model, '--data', data, '--on-bad', 'skip', '--json']);
  const { ner, sentences, notes } = JSON.parse(stdout) as {
    ner: { micro: { support: number }; perType: Record<string, { support: number; f1: number }> };
    sentences: number;
    notes: string[];
  };
  t.equal(sentences, 3, 'all but the empty and the bad one');
  t.equal(ner.micro.support, 4);
  t.deepEqual([ner.perType.SHIP.support, ner.perType.SHIP.f1], [1, 0]);
  const expected = [
    /^bad rows, left out: 1 \(row 4: entities\[0\]\.end is 2, but the sentence has 1 tokens\)$/,
    /^sentences without a word, left out: 1$/,
    /^words unknown to the vocabulary: 2 of 5 words, 40\.0 %/,
    /^bad rows, left out: 1 \(row 5: 1 word makes 72 word pieces/,
    /^entities of types that the model does not have \(SHIP\): 1; counted as missed$/,
    /^no relation is annotated: whatever is found counts as wrong$/,
  ];
  t.equal(notes.length, expected.length, notes.join('; '));
  expected.forEach((note, i) => t.match(notes[i], note));
});

test('what is said of files that are not what they are taken for', async (t) => {
  const cases: [name: string, content: string | Uint8Array, complaint: RegExp][] = [
    [
      'a table',
      'text,label\nIlse sails,P\n',
      /neither JSON nor .* it begins with "text,label"; docs\/formats\.md/,
    ],
    [
      'tags without B and I',
      'Ilse PER\nsails O\n',
      /lines of a word and its tag, such as "Ada B-Person": .* "Ilse PER"/,
    ],
    ['a download that is zipped', Buffer.from('PK\x03\x04\x14\xff', 'latin1'), /: a ZIP archive .* "unzip"/],
    ['gzip', Uint8Array.of(0x1f, 0x8b, 8, 0), /: compressed by gzip: unpack it with "gunzip"/],
    ['UTF-16', Uint8Array.of(0xff, 0xfe, 0x5b, 0), /: UTF-16, by its first two bytes, not UTF-8/],
    ['Latin-1', Buffer.from('Ilse B-P\nK\xf6rn I-P\n', 'latin1'), /not UTF-8 at byte 10 \(0xf6\), in line 2/],
    [
      'a pointer',
      'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 93\n',
      /: a Git LFS pointer, .* 93 bytes/,
    ],
    ['an array cut short', '[{"text": "Ilse", "label": []},\n', /line 1: not JSON \(the text ends early\)/],
    [
      'no annotations',
      '{"tokens": ["Ilse"]}',
      /row 1: entities is missing: rows without annotations are for extract --tokens/,
    ],
    [
      'offsets as texts',
      '{"text": "Ilse", "label": [["0", "4", "P"]]}',
      /label\[0\]\[0\] is "0", not an integer/,
    ],
    [
      'an end before its start',
      '{"text": "Ilse", "label": [[4, 0, "P"]]}',
      /row 1: label\[0\] covers no character/,
    ],
    ['no type', '{"text": "Ilse", "label": [[0, 4]]}', /row 1: label\[0\]\[2\] is missing/],
    [
      'an index as a text',
      JSON.stringify({ ...good, relations: [{ type: 'r', head: '0', tail: 1 }] }),
      /head is "0", not an integer/,
    ],
    [
      'tags for more words',
      '{"tokens": ["Ilse"], "ner_tags": ["B-P", "O"]}',
      /row 1: ner_tags has 2 tags for 1 tokens/,
    ],
  ];
  for (const [name, content, complaint] of cases) {
    const { status, stderr, stdout } = await spanwise([
      'convert',
      '--to',
      'spert',
      '--in',
      file('given', content),
    ]);
    t.deepEqual([status, stdout, stderr.split('\n').length], [2, '', 2], `${name}: status 2, one line`);
    t.match(stderr, complaint, name);
  }
});

test('what is read all the same is told', async (t) => {
  const spellings = [
    { text: 'Ilse', label: [[0, 4, 'P']] },
    { text: 'Korn', label: [[0, 4, 'p ']] },
  ];
  const { stderr } = await run(
    t,
    ['convert', '--to', 'spert'],
    spellings.map((row) => JSON.stringify(row)).join('\n'),
  );
  t.match(
    stderr,
    /^note: types that differ in capitals or blanks alone, taken for different ones: "P" and "p "$/m,
  );
  const json = await run(t, ['extract', '--model', model], '{"text": "Rain"}\n[1] Rain\n');
  t.match(json.stderr, /^note: lines that are JSON, read as text: 1; --tokens reads rows with "tokens"/m);
  t.equal(json.stdout.trimEnd().split('\n').length, 2, 'and answered');
  const late = await run(t, ['extract', '--model', model, '--from-line', '5'], 'Rain\n');
  t.deepEqual(late, { stdout: '', stderr: 'note: the input ends before line 5\n' });
  const data = file('people.json', JSON.stringify([good]));
  const scores = await run(t, ['eval', '--model', model, '--data', data]);
  t.match(scores.stdout, /^NER micro /m);
});

test('convert: to a folder and back, losses on standard error', async (t) => {
  const rows = [
    { ...good, orig_id: 'one', relations: [{ type: 'in', head: 0, tail: 1 }] },
    { ...good, orig_id: 'two', relations: [] },
  ];
  const source = file('source.json', JSON.stringify(rows));
  const brat = join(folder, 'brat');
  const there = await run(t, ['convert', '--to', 'brat', '--in', source, '--out', brat]);
  t.deepEqual(there, { stdout: '', stderr: 'note: lost in brat standoff: divisions into tokens: 2\n' });
  t.deepEqual(readdirSync(brat).sort(), ['one.ann', 'one.txt', 'two.ann', 'two.txt']);
  t.equal(
    readFileSync(join(brat, 'one.ann'), 'utf8'),
    'T1\tPER 0 4\tRain\nT2\tLOC 5 8\tRio\nR1\tin Arg1:T1 Arg2:T2\n',
  );
  const back = await run(t, ['convert', '--to', 'spert', '--in', brat]);
  t.equal(back.stderr, 'note: read as brat standoff\n');
  t.deepEqual(
    JSON.parse(back.stdout),
    rows.map(({ tokens, entities, relations, orig_id }) => ({ tokens, entities, relations, orig_id })),
  );
  const bioes = await run(t, ['convert', '--to', 'conll', '--tags', 'bioes'], JSON.stringify(rows.slice(1)));
  t.equal(bioes.stdout, '# sent_id = two\nRain S-PER\nRio S-LOC\n\n');
  rmSync(join(brat, 'one.ann'));
  rmSync(join(brat, 'two.ann'));
  writeFileSync(join(brat, 'one.txt'), 'Not annotated yet.');
  const over = await spanwise(['convert', '--to', 'brat', '--in', source, '--out', brat]);
  expectFailure(t, over, 2, /: --out \S+brat holds one\.txt already$/m);
  t.deepEqual(readdirSync(brat).sort(), ['one.txt', 'two.txt'], 'nothing is written');
  writeFileSync(join(brat, 'other.ann'), '');
  const again = await spanwise(['convert', '--to', 'brat', '--in', source, '--out', brat]);
  t.equal(again.status, 2);
  t.match(again.stderr, /holds \.ann files already/);
});

const kernels = '../shared/field/g17-kernels/kernels.mjs';
const absent = existsSync(kernels) ? {} : { skip: 'no ../shared/field' };
test('odd and large shapes at the default limits: right, NaN spreads, too large is told', absent, (t) => {
  const args = [kernels, resolve('dist/spanwise-node.js')];
  const lines = execFileSync(process.execPath, args, { encoding: 'utf8' }).trimEnd().split('\n');
  const said = Object.fromEntries(lines.map((line) => line.split(' | ') as [string, string]));
  const wrong = Object.entries(said).filter(
    ([what, how]) => /^(linear|softmax \[70)/.test(what) && !/^OK/.test(how),
  );
  t.deepEqual(wrong, []);
  t.equal(said['softmax rows: NaN first; +inf first'], Array(6).fill('NaN').join(' '));
  for (const rows of [60000, 119547])
    t.match(
      said[`embedding table [${rows},768]`],
      /^THROWS OutOfMemoryError .*over|exceeds the device's max/,
    );
  for (const what of ['and after that softmax [1,3]', 'close, open again'])
    t.equal(said[what], '0.09 0.24 0.67', what);
  t.end();
});
