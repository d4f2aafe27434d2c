/** Scores of documents by hand, their intervals, and an evaluation from end to end. */
import test from 'tape';
import { evaluateCerem } from '../../../src/tasks/prompts/evaluate.ts';
import type { PredictedEntity } from '../../../src/tasks/prompts/extract.ts';
import { parseSchema } from '../../../src/tasks/prompts/schema.ts';
import { scoreDocuments, scoreNames, type CeremScores } from '../../../src/tasks/prompts/scores.ts';
import { parseDocuments } from '../../../src/tasks/corpus/parse.ts';
import { bestOfGrid } from '../../../src/tasks/threshold.ts';
import { documentsJson } from '../../../src/tasks/corpus/tokens.ts';
import type { Document } from '../../../src/tasks/document.ts';
import { follow, inputError, placesOf, tinyModel, tokenizerOf } from './oracle.ts';
import { sharedRuntime } from '../../runtime.ts';

const runtime = sharedRuntime();

type EntityRow = [type: string, start: number, end: number, objectOnly?: true];
type RelationRow = [type: string, head: number, tail: number];

/** A document from rows. */
function document(text: string, entities: EntityRow[], relations: RelationRow[] = []): Document {
  return {
    text,
    entities: entities.map(([type, start, end, objectOnly]): Omit<PredictedEntity, 'score'> => ({
      type,
      start,
      end,
      ...(objectOnly ? { objectOnly } : {}),
    })),
    relations: relations.map(([type, head, tail]) => ({ type, head, tail })),
  };
}

const schema = parseSchema(
  {
    entities: { PER: '人物', LOC: '地点' },
    relations: {
      PER: { lives: { name: '住处', object: 'LOC' } },
      Fire: { after: { name: '后', object: 'Quake' } },
    },
    events: {
      Quake: { prompt: '地震', arguments: { where: '地点', when: '时间' } },
      Fire: { prompt: '火灾' },
    },
  },
  'schema',
);
/** P, R, F1 of one score, as numbers of right, predicted and gold. */
const fractions = (scores: CeremScores, name: (typeof scoreNames)[number]): number[] => {
  const { p, predicted, support } = scores[name]!.micro;
  return [Math.round(p * predicted), predicted, support];
};

test('scores by hand', (t) => {
  const text = '小林在北岸看海';
  const gold = [
    document(
      text,
      [
        ['PER', 0, 2],
        ['LOC', 3, 5],
        ['LOC', 6, 7],
        ['Other', 2, 3],
      ],
      [
        ['lives', 0, 1],
        ['lives', 0, 2],
        ['unasked', 0, 1],
      ],
    ),
    document(
      text,
      [
        ['Quake', 0, 2],
        ['Fire', 5, 6],
        ['LOC', 3, 5],
        ['LOC', 6, 7],
      ],
      [
        ['where', 0, 2],
        ['when', 0, 3],
        ['after', 1, 0],
      ],
    ),
  ];
  const predicted = [
    document(
      text,
      // LOC 6–7 was found by a relation alone: no entity, but an end of a triple.
      [
        ['PER', 0, 2],
        ['PER', 3, 5],
        ['LOC', 6, 7, true],
        ['Other', 2, 3],
      ],
      [
        ['lives', 0, 1],
        ['lives', 0, 2],
        ['lives', 0, 2],
        ['lives', 2, 0],
      ],
    ),
    document(
      text,
      [
        ['Quake', 1, 2],
        ['Fire', 5, 6],
        ['LOC', 3, 5],
        ['where', 6, 7, true],
      ],
      [
        ['where', 0, 2],
        ['where', 0, 3],
        ['after', 1, 0],
      ],
    ),
  ];
  const scores = scoreDocuments(gold, predicted, schema);
  t.equal(scores.documents, 2);
  t.deepEqual(fractions(scores, 'entity'), [2, 3, 5], 'PER 0–2 and LOC 3–5 of the second');
  t.deepEqual(
    fractions(scores, 'triple'),
    [2, 3, 3],
    'spans and relation, whatever the types; after has a wrong head',
  );
  t.deepEqual(fractions(scores, 'trigger'), [1, 2, 2]);
  t.deepEqual(fractions(scores, 'argument'), [1, 2, 2], 'where 3–5, whatever the trigger');
  t.deepEqual(fractions(scores, 'eventTriple'), [0, 2, 2], 'the trigger is at the wrong place');
  t.deepEqual(Object.keys(scores.entity!.perType), ['LOC', 'PER']);
  t.deepEqual(Object.keys(scores.argument!.perType), ['when', 'where']);
  const f1 = (name: (typeof scoreNames)[number]) => scores[name]!.micro.f1;
  t.ok(Math.abs(f1('entity') - 0.5) < 1e-12);
  t.ok(Math.abs(scores.score - scoreNames.reduce((sum, name) => sum + f1(name), 0) / 5) < 1e-12, 'the mean');

  const perfect = scoreDocuments(gold, gold, schema);
  t.equal(perfect.score, 1);
  const nothing = scoreDocuments(
    gold,
    gold.map(() => document(text, [])),
    schema,
  );
  t.equal(nothing.score, 0);
  t.deepEqual(fractions(nothing, 'entity'), [0, 0, 5]);
  t.end();
});

test('only what the schema asks for is scored', (t) => {
  const of = (json: Record<string, unknown>) => {
    const scores = scoreDocuments([], [], parseSchema(json, 'schema'));
    return scoreNames.filter((name) => scores[name]);
  };
  t.deepEqual(of({ entities: { A: 'a' } }), ['entity']);
  t.deepEqual(of({ entities: { A: 'a' }, relations: { A: { r: {} } } }), ['entity', 'triple']);
  t.deepEqual(of({ events: { A: { prompt: 'a' } } }), ['trigger']);
  t.deepEqual(of({ events: { A: { prompt: 'a', arguments: { r: {} } } } }), [
    'trigger',
    'argument',
    'eventTriple',
  ]);
  t.equal(scoreDocuments([], [], parseSchema({ events: { A: {} } }, 'schema')).entityByLength, undefined);
  t.end();
});

test('lengths count characters, not code units', (t) => {
  // Ten characters beyond the BMP: 20 code units.
  const text = '𠮷'.repeat(10);
  const long = '海'.repeat(60);
  const gold = [
    document(text, [
      ['PER', 0, 4],
      ['LOC', 4, 20],
    ]),
    document('海'.repeat(20), [['LOC', 0, 1]]),
    document(long, [
      ['LOC', 0, 50],
      ['PER', 3, 5],
    ]),
  ];
  const predicted = [
    document(text, [['PER', 0, 4]]),
    document('海'.repeat(20), [['LOC', 0, 2]]),
    document(long, [['LOC', 0, 50]]),
  ];
  const { entityByLength, byTextLength } = scoreDocuments(gold, predicted, schema);
  t.deepEqual(
    entityByLength!
      .filter(({ support, predicted: p }) => support + p > 0)
      .map((b) => [b.bucket, b.r, b.support]),
    [
      ['1', 0, 1],
      ['2', 0.5, 2],
      ['≥8', 0.5, 2],
    ],
  );
  t.deepEqual(
    byTextLength.map(({ bucket, documents, entity }) => [bucket, documents, entity!.r]),
    [
      ['<20', 1, 0.5],
      ['20–34', 1, 0],
      ['35–49', 0, 0],
      ['≥50', 1, 0.5],
    ],
  );
  t.end();
});

test('bootstrap intervals', (t) => {
  const right = document('ab', [['PER', 0, 1]]);
  const wrong = document('ab', [['PER', 1, 2]]);
  const gold = Array.from({ length: 100 }, () => right);
  const predicted = gold.map((_, i) => (i < 80 ? right : wrong));
  const { entity } = scoreDocuments(gold, predicted, schema);
  const [low, high] = entity!.f1Interval;
  // F1 is the share of the right: binomial with a deviation of 0.04, so 0.8 ± 0.078.
  t.ok(Math.abs(entity!.micro.f1 - 0.8) < 1e-12);
  t.ok(Math.abs(low - 0.72) <= 0.015 && Math.abs(high - 0.88) <= 0.015, `${low} to ${high}`);
  const again = (bootstrap = {}) => scoreDocuments(gold, predicted, schema, bootstrap).entity!.f1Interval;
  t.deepEqual(again(), [low, high], 'the same seed, the same interval');
  t.notDeepEqual(again({ seed: 1, draws: 7 }), again({ draws: 7 }));
  t.deepEqual(
    again({ draws: 1 }).map((x, _, [first]) => x === first),
    [true, true],
    'one draw',
  );
  t.deepEqual(scoreDocuments([right], [right], schema).entity!.f1Interval, [1, 1], 'one document');
  t.deepEqual(scoreDocuments([], [], schema).entity!.f1Interval, [0, 0], 'none');
  t.throws(() => again({ draws: 0 }), /draws must be an integer of at least 1, it is 0/);
  t.throws(() => scoreDocuments([right], [], schema), /0 predictions for 1 documents/);
  t.end();
});

test('an evaluation reads the text alone', async (t) => {
  const text = '小林在北岸，她在北岸。';
  const simple = parseSchema(
    { entities: { PER: '人物', LOC: '地点' }, relations: { PER: { lives: '住处' } } },
    'schema',
  );
  const gold = [
    document(
      text,
      [
        ['PER', 0, 2],
        ['LOC', 3, 5],
        ['PER', 6, 7],
        ['LOC', 8, 10],
        ['Other', 0, 1],
      ],
      [
        ['lives', 0, 1],
        ['lives', 2, 3],
      ],
    ),
    document('', []),
  ];
  gold[0].tokens = [...text];
  const tokenizer = tokenizerOf([text, '人物地点的住处']);
  const model = tinyModel(runtime, tokenizer);
  follow(model, tokenizer, (prompt, seen) => {
    if (prompt === '人物') return placesOf(seen, '小林');
    if (prompt === '地点') return placesOf(seen, '北岸');
    return prompt === '小林的住处' ? placesOf(seen, '北岸').slice(0, 1) : [];
  });
  let written = '';
  const result = await evaluateCerem(model, tokenizer, gold, simple, {
    bootstrap: { draws: 20 },
    onPredicted: (documents) => (written = documentsJson(documents)),
  });
  const [first, ...others] = parseDocuments(written, 'predicted').documents;
  t.deepEqual(first.tokens, gold[0].tokens, 'predictions in the form of the gold');
  t.equal(first.entities.length, 3);
  t.equal(others.length, 0, 'an empty text is none');
  t.deepEqual((JSON.parse(written) as unknown[])[1], gold[1]);
  t.deepEqual(fractions(result, 'entity'), [3, 3, 4]);
  t.deepEqual(fractions(result, 'triple'), [1, 1, 2]);
  t.equal(result.effort.prompts, 2 * 2 + 1);
  t.equal(result.notes.length, 1);
  t.match(result.notes[0], /entities .*types that the schema does not ask for/);
  t.match(
    await inputError(() =>
      evaluateCerem(tinyModel(runtime, tokenizer, { maxLength: 5 }), tokenizer, gold, simple),
    ),
    /^document 1: prompt "人物": a prompt of 2 word pieces leaves no room/,
  );
});

test('no threshold is chosen where none finds what is right', async (t) => {
  const chosen = await bestOfGrid(0.5, 'dev.json', (threshold) =>
    Promise.resolve(threshold === 0.7 ? 0.1 : 0),
  );
  t.deepEqual(chosen, { threshold: 0.7, f1: 0.1, before: 0 });
  const refused = await inputError(() => bestOfGrid(0.5, 'dev.json', () => Promise.resolve(0)));
  t.match(refused, /^dev\.json: no answer to choose a threshold by/);
});
