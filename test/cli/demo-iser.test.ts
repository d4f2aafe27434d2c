/** `demo iser` on a few rows of its corpus. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'tape';
import { folder, spanwise } from './run.ts';

const few = join(folder, 'few');
mkdirSync(few);
for (const name of ['train', 'dev', 'test']) {
  const rows = JSON.parse(readFileSync(`corpora/expeditions/${name}.json`, 'utf8')) as unknown[];
  writeFileSync(join(few, `${name}.json`), JSON.stringify(rows.slice(0, 1)));
}
/** Without a text in it: the test split's are taken. */
writeFileSync(join(few, 'unseen.txt'), '\n \n');
const [{ tokens }] = JSON.parse(readFileSync(join(few, 'test.json'), 'utf8')) as { tokens: string[] }[];

interface Demo {
  recipe: { negativeSpans: number; warmup: number };
  models: { name: string; parameters: number; test: { sentences: number }; report: { steps: number } }[];
  extracted: { text: string }[];
}

test('demo iser trains both models, extracts and draws the fusion of the second', async (t) => {
  const out = join(folder, 'demo');
  const args = ['demo', 'iser', '--data', few, '--out', out, '--epochs', '1', '--negative-spans', '2'];
  const { status, stdout, stderr } = await spanwise([...args, '--json']);
  t.equal(status, 0, stderr);
  const { recipe, models, extracted } = JSON.parse(stdout) as Demo;
  t.equal(recipe.negativeSpans, 2, 'a flag goes before the demo’s own recipe');
  t.equal(recipe.warmup, 0.1, 'the recipe is whole');
  t.deepEqual(
    models.map(({ name, test: { sentences }, report: { steps } }) => [name, sentences, steps]),
    [
      ['plain', 1, 1],
      ['with fusion and SEA', 1, 1],
    ],
  );
  const d = 64;
  const lstm = 2 * ((4 * d) / 2) * (2 * d + d / 2 + 2);
  const gru = 2 * ((3 * d) / 2) * (d + d / 2 + 2);
  t.equal(models[1].parameters - models[0].parameters, lstm + gru + 4 * d * (d + 1), 'fusion and SEA');
  t.deepEqual(
    extracted.map(({ text }) => text),
    [tokens.join(' ')],
  );
  t.ok(readFileSync(join(out, 'attention.svg'), 'utf8').includes(`>${tokens[0]}</text>`));
  for (const name of ['fusion', 'plain']) t.ok(existsSync(join(out, name, 'config.json')), name);
});
