/** What people's data do to the commands: rows that one model cannot take, labels that it lacks, formats of other tools. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'tape';
import { file, fixture, folder, spanwise } from './run.ts';

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
  ];
  t.equal(notes.length, expected.length, notes.join('; '));
  expected.forEach((note, i) => t.match(notes[i], note));
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
  const again = await spanwise(['convert', '--to', 'brat', '--in', source, '--out', brat]);
  t.equal(again.status, 2);
  t.match(again.stderr, /holds \.ann files already/);
});
