/** Annotated text without words is parted by a model's own rule: where it is scored and where it is trained. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'tape';
import { loadModel } from '../../src/node.ts';
import type { Json } from '../../src/io/json.ts';
import type { WordRule } from '../../src/models/word-rule.ts';
import { parseSentences } from '../../src/tasks/corpus/sentences.ts';
import type { Judgement } from '../../src/tasks/errors/judged.ts';
import { lai } from '../../src/tasks/lai/definition.ts';
import { iser } from '../../src/tasks/spans/iser.ts';
import { stsn } from '../../src/tasks/spans/stsn.ts';
import { planResume, planTraining, train } from '../../src/tasks/training/train.ts';
import { memoryStorage } from '../../src/tasks/training/storage.ts';
import { temporaryFolder } from './runs.ts';
import { sharedRuntime } from '../runtime.ts';

const runtime = sharedRuntime({ poison: false });

const text = "Mr. Ivo Holt's pump-house, U.S., leaks.";
const pennWords = ['Mr.', 'Ivo', 'Holt', "'s", 'pump-house', ',', 'U.S.', ',', 'leaks', '.'];
const entityOf = (type: string, said: string) => ({
  type,
  start: text.indexOf(said),
  end: text.indexOf(said) + said.length,
  text: said,
});
const entities = [entityOf('PER', 'Ivo Holt'), entityOf('LOC', 'U.S.')];
const relations = [{ type: 'Lives_In', head: 0, tail: 1 }];
/** Of characters. */
const plain = JSON.stringify([{ text, entities, relations }]);
/** Words that Penn's rule alone gives back, but for one that it parts. */
const inWords = JSON.stringify([
  {
    tokens: ['Ivo', 'Holt', "'s", 'ash;tray', 'in', 'the', 'U.S.', 'leaks'],
    entities: [{ type: 'PER', start: 0, end: 2 }],
    relations: [],
  },
  { tokens: ['A', 'pump-house'], entities: [{ type: 'LOC', start: 1, end: 2 }], relations: [] },
  { tokens: ['Holt'], entities: [{ type: 'PER', start: 0, end: 1 }], relations: [] },
]);

const penn: WordRule = { rule: 'penn', whole: [] };

test('text without words, by a rule', (t) => {
  const [sentence] = parseSentences(plain, 'f', { words: penn }).sentences;
  t.deepEqual(sentence.tokens, pennWords);
  t.deepEqual(sentence.entities, [
    { type: 'PER', start: 1, end: 3 },
    { type: 'LOC', start: 6, end: 7 },
  ]);
  const [basic] = parseSentences(plain, 'f').sentences;
  t.ok(basic.tokens.length > pennWords.length, 'the plain one without');
  const [characters] = parseSentences(plain, 'f', { words: { rule: 'characters', whole: [] } }).sentences;
  t.equal(characters.tokens.join(''), text.replaceAll(' ', ''));
  t.deepEqual(parseSentences(inWords, 'f', { words: penn }).sentences[1].tokens, ['A', 'pump-house']);
  t.end();
});

for (const [definition, fixture, config] of [
  [stsn, 'stsn/both', {}],
  [iser, 'iser/plain', {}],
  [lai, 'lai/entities', {}],
] as const)
  test(`${definition.title}: scored on text in the words that extract finds`, async (t) => {
    const dir = join(temporaryFolder(), 'model');
    cpSync(`test/fixtures/${fixture}`, dir, { recursive: true });
    const saved = JSON.parse(readFileSync(join(dir, 'config.json'), 'utf8')) as Json;
    writeFileSync(join(dir, 'config.json'), JSON.stringify({ ...saved, ...config, words: 'penn' }));
    const model = await loadModel(runtime, dir);
    let judged: Judgement | undefined;
    await model.evaluate(plain, { onJudged: (judgement) => (judged = judgement) });
    t.deepEqual(judged?.texts[0].tokens, pennWords);
    const asked = await model.extract(text);
    const found = await model.extract({ tokens: pennWords });
    const saidOf = (said: typeof found.entities) => said.map((e) => [e.type, e.text.replaceAll(' ', '')]);
    t.deepEqual(saidOf(asked.entities), saidOf(found.entities));
    t.deepEqual(
      judged?.texts[0].predicted.entities.map(({ type }) => type),
      asked.entities.map(({ type }) => type),
    );
    model.release();
  });

test('a training reads text as its model will', async (t) => {
  const read = (content: string) => (words?: WordRule) => stsn.read(content, 'f', { words });
  const tokensOf = ({ sentences }: { sentences: readonly { tokens: string[] }[] }) =>
    sentences.map(({ tokens }) => tokens);
  const chosen = planTraining(stsn, { train: read(inWords), dev: read(plain) });
  t.deepEqual(chosen.config.words, { rule: 'penn', whole: ['ash;tray'] }, 'the rule that the words show');
  t.deepEqual(tokensOf(chosen.dev!), [pennWords], 'parts the dev data');
  const asked = planTraining(stsn, { train: read(plain), overrides: { words: 'penn' } });
  t.deepEqual(tokensOf(asked.train), [pennWords], 'a rule that is asked for parts the training data');
  const none = planTraining(stsn, { train: read(plain) });
  t.deepEqual(tokensOf(none.train), tokensOf(read(plain)()));

  const storage = memoryStorage();
  const recipe = { epochs: 1 };
  const overrides = { words: 'penn' };
  await train(stsn, plain, { runtime, storage, recipe, overrides });
  const resumed = await planResume(stsn, storage, { train: read(plain), recipe });
  t.deepEqual(tokensOf(resumed.train), [pennWords], 'and so does one that is resumed');
});
