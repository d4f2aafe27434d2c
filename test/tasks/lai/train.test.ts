/** LAI-Net trained, saved, resumed, scored and asked, stage by stage and both together. */
import test from 'tape';
import type { Json } from '../../../src/models/config.ts';
import { readCorpus } from '../../../src/tasks/corpus-file.ts';
import type { Sentence } from '../../../src/tasks/dataset.ts';
import { folderSource, folderStorage, openFolder } from '../../../src/tasks/folder.ts';
import { lai } from '../../../src/tasks/lai/definition.ts';
import type { LaiRecipe, LaiTypes } from '../../../src/tasks/lai/training.ts';
import { loadModel, type LoadedModel } from '../../../src/tasks/model.ts';
import { stsn } from '../../../src/tasks/spans/stsn.ts';
import { planResume, planTraining, runTraining } from '../../../src/tasks/training/train.ts';
import { differences, finalFiles, inputError, logOf, temporaryFolder } from '../runs.ts';
import { sharedRuntime } from '../../runtime.ts';

const runtime = sharedRuntime();

const { sentences } = readCorpus(lai, 'corpora/expeditions/train.json');
const related = sentences.filter(({ relations, tokens }) => relations.length > 0 && tokens.length < 20);
const corpus = (some: readonly Sentence[], file = 'train.json') => ({ sentences: some, file, notes: [] });
const encoder = {
  ...{ hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 64 },
  max_position_embeddings: 96,
};

const tokenizer = lai.vocabulary(corpus(sentences), undefined, { encoder, stage: 'relations' }, 'config');

/** A run's folder and its report. */
async function train(given: Json, recipe: Partial<LaiRecipe>, some = related.slice(0, 6)) {
  const out = temporaryFolder();
  const planned = planTraining<LaiTypes>(lai, {
    ...{ train: corpus(some), tokenizer, config: { encoder, maxSpanWidth: 4, ...given } },
    recipe: { lr: 3e-3, batch: 4, dropout: 0, ...recipe },
  });
  const { report } = await runTraining(runtime, planned, { storage: folderStorage(out) });
  return { out, report };
}
const load = (out: string): Promise<LoadedModel<LaiTypes>> =>
  loadModel(runtime, folderSource(out), lai, undefined, out);

test('annotations are phrases of labels: of the data, or of the configuration', (t) => {
  const given = { encoder, stage: 'entities' };
  const complete = (more: Json) =>
    lai.complete({ ...given, ...more }, 'config.json', corpus(related), tokenizer);
  const annotations = { Person: 'human', Works_For: 'employed by' };
  t.deepEqual(complete({ annotations }).annotations, annotations, 'of either stage');
  const labels = 'Instrument, Organization, Person, Place, ';
  t.throws(
    () => complete({ annotations: { ...annotations, Persn: 'human' } }),
    new RegExp(`^InputError: config.json: annotations: "Persn" is no label \\(there are: ${labels}`),
  );
  t.throws(
    () =>
      lai.vocabulary(
        corpus(related),
        undefined,
        { ...given, annotations: { person: 'human' } },
        'config.json',
      ),
    /annotations: "person" is no label/,
    'before a vocabulary is built, too',
  );
  t.throws(
    () => complete({ entityTypes: ['Ship'], annotations: { Person: 'human' } }),
    /"Person" is no label \(there are: Ship, /,
  );
  t.end();
});

test('both stages learn six sentences by heart, and extract them together', async (t) => {
  const found = await train({ stage: 'entities', filter: false }, { epochs: 30 });
  const ruled = await train({ stage: 'relations' }, { epochs: 30 });
  const [entities, relations] = [await load(found.out), await load(ruled.out)];
  const seen = corpus(related.slice(0, 6));

  const alone = await entities.evaluate(seen);
  t.equal(alone.ner?.micro.f1, 1, 'NER F1');
  t.equal(
    alone.re ?? alone.rePlus ?? alone.byTextLength,
    undefined,
    'a model of entities tells nothing of relations',
  );
  const gold = await relations.evaluate(seen);
  t.ok(gold.re!.micro.f1 >= 0.9, `RE F1 among gold entities ${gold.re!.micro.f1}`);
  t.deepEqual([gold.entities, gold.ner, gold.rePlus], ['gold', undefined, undefined]);
  const both = await entities.evaluate(seen, { relations });
  t.deepEqual([both.ner, both.rePlus!.micro], [alone.ner, gold.re!.micro], 'perfect entities are gold');
  t.deepEqual(
    await entities.evaluate(seen, { relations, batchSize: 3 }).then(({ rePlus }) => rePlus!.micro),
    both.rePlus!.micro,
    'whatever the batches',
  );

  const texts = [...seen.sentences.map(({ tokens }) => tokens.join(' ')), ' '];
  const extracted = await entities.extract(texts, { relations });
  extracted.forEach((result, i) => {
    const known = seen.sentences[i]?.entities ?? [];
    t.equal(result.entities.length, known.length, `text ${i + 1}`);
    for (const { text, start, end } of result.entities) t.equal(text, texts[i].slice(start, end));
  });
  t.equal(
    extracted.reduce((sum, r) => sum + r.relations.length, 0),
    both.re!.micro.predicted,
  );
  t.deepEqual(
    (await entities.extract(texts)).map((result) => result.entities),
    extracted.map((result) => result.entities),
    'entities alone',
  );
  // Twelve sentences are longer than the encoder.
  const long = await entities.extract(`${texts.slice(0, 6).join(' ')} ${texts.slice(0, 6).join(' ')}`, {
    relations,
  });
  t.ok(long.entities.length > 0 && long.relations.length > 0, 'windows of a long text');

  entities.release();
  relations.release();
  t.equal(runtime.memory.report().liveBytes, 0);
});

test('the filter has a say once the cold start is over', async (t) => {
  const { out, report } = await train({ stage: 'entities' }, { epochs: 30, coldStart: 15 });
  const epochs = logOf(out).filter(({ event }) => event === 'epoch');
  t.deepEqual(epochs.map(({ candidates }) => candidates).slice(0, 2), Array(2).fill(epochs[0].candidates));
  t.equal(
    epochs[0].candidates,
    related.slice(0, 6).reduce((sum, { tokens: { length } }) => sum + 4 * length - 6, 0),
    'every span is a candidate',
  );
  t.deepEqual(
    Object.keys(epochs[0]).slice(2, 6),
    ['loss', 'filter', 'span', 'gradNorm'],
    'no loss of the other stage',
  );
  t.equal(report.submitsPerStep, 2, 'what the filter says is read in the middle of a step');
  const model = await load(out);
  t.ok((await model.evaluate(corpus(related.slice(0, 6)))).ner!.micro.f1 > 0.6, 'it learns all the same');
  model.release();
  t.end();
});

test('a resumed run continues bit for bit, across the end of the cold start', async (t) => {
  const run = (recipe: Partial<LaiRecipe>) =>
    train({ stage: 'entities', maxCandidates: 30 }, { epochs: 3, coldStart: 1, dropout: 0.1, ...recipe });
  const whole = await run({});
  const out = temporaryFolder();
  const storage = folderStorage(out);
  const data = corpus(related.slice(0, 6));
  const planned = planTraining<LaiTypes>(lai, {
    ...{ train: data, tokenizer, config: { encoder, maxSpanWidth: 4, stage: 'entities', maxCandidates: 30 } },
    recipe: { lr: 3e-3, batch: 4, epochs: 3, coldStart: 1 },
  });
  let steps = 0;
  const stop = runTraining(runtime, planned, {
    storage,
    saveSeconds: 0,
    onEvent({ event }) {
      if (event === 'step' && ++steps === 7) throw new Error('stopped');
    },
  });
  t.equal(await stop.catch((error: Error) => error.message), 'stopped');
  const again = await planResume<LaiTypes>(lai, storage, { train: data });
  t.equal(again.recipe.coldStart, 1);
  await runTraining(runtime, again, { storage });
  t.deepEqual(differences(finalFiles(whole.out), finalFiles(out)), []);
  t.end();
});

test('what does not go together is refused in one line', async (t) => {
  const plan =
    (given: Json, recipe = {}, some = related.slice(0, 2)) =>
    () =>
      planTraining<LaiTypes>(lai, { train: corpus(some), tokenizer, config: { encoder, ...given }, recipe });
  t.match(await inputError(plan({})), /^config: "stage" must be one of entities, relations; it is missing$/);
  t.match(
    await inputError(plan({ stage: 'relations', views: 5 })),
    /^config: "views" 5 does not divide .* 64$/,
  );
  t.match(
    await inputError(plan({ stage: 'entities' }, { coldStart: -1 })),
    /^recipe: "coldStart" must be a whole number/,
  );
  t.match(
    await inputError(plan({ stage: 'entities', entityTypes: ['Ship'] })),
    /^train.json: \d bad rows \(.*\): row 1: entities\[\d\].type is "\w+", not among the model's entity types \(Ship\)/,
  );
  t.equal(
    typeof plan({ stage: 'relations', entityTypes: ['Ship'] })(),
    'object',
    'which the other stage does not mind',
  );
  const lone = related.slice(0, 2).map((s) => ({ ...s, entities: s.entities.slice(0, 1), relations: [] }));
  const types = { relationTypes: ['r'], stage: 'relations' };
  t.match(
    await inputError(() => train(types, {}, lone)),
    /^train.json: no relation is annotated: there is nothing to learn$/,
  );
  const long = [{ ...related[0], tokens: Array<string>(90).fill('x') }];
  t.match(
    await inputError(() => train({ stage: 'entities' }, {}, long)),
    /^train.json: row 1: 90 words make 92 .* take \d+; split it$/,
  );
  t.match(
    await inputError(() => train({ stage: 'entities', maxCandidates: 0 }, {})),
    /"maxCandidates" must be an integer of at least 1; it is 0/,
  );

  const one = related.slice(0, 1);
  const { out: entities } = await train({ stage: 'entities' }, { epochs: 1 }, one);
  const { out: relations } = await train({ stage: 'relations' }, { epochs: 1 }, one);
  const opened = { entities: await openFolder(entities), relations: await openFolder(relations) };
  const check = (first: keyof typeof opened, second: keyof typeof opened) => () =>
    lai.checkOptions!(opened[first] as never, { relations: opened[second] }, 'eval');
  t.equal(await inputError(check('entities', 'relations')), 'no error');
  t.match(
    await inputError(check('entities', 'entities')),
    /: a model of stage entities, where one of relations is needed$/,
  );
  t.match(
    await inputError(check('relations', 'relations')),
    /goes with a model of stage entities, not with one of relations$/,
  );
  const alone = (command: 'eval' | 'extract') => () =>
    lai.checkOptions!(opened.relations as never, {}, command);
  t.equal(await inputError(alone('eval')), 'no error', 'it is scored on relations among gold entities');
  t.match(await inputError(alone('extract')), /: a model of stage relations finds no entities/);
  const model = await load(relations);
  t.match(await inputError(() => model.extract('A text')), /a model of stage relations finds no entities/);
  t.match(
    await inputError(() => model.evaluate(corpus(one), { relations: model })),
    /not with one of relations$/,
  );
  const other = await loadModel(runtime, folderSource('test/fixtures/stsn/both'), stsn, undefined, 'both');
  t.match(
    await inputError(() => model.evaluate(corpus(one), { relations: other as never })),
    /^both: a model of kind STSN, where one of kind LAI-Net is needed$/,
  );
  other.release();
  model.release();
  t.end();
});
