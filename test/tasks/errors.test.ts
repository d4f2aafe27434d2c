/** What a model gets wrong: matching, counting, calibration, the page and the rows. */
import test from 'tape';
import { stream } from '../../src/nn/random.ts';
import { analyse } from '../../src/tasks/errors/analysis.ts';
import { bestCut, calibrationOf, cutsOf } from '../../src/tasks/errors/calibration.ts';
import { matchEntities } from '../../src/tasks/errors/entities.ts';
import { judgedSentences, predictionsJson, type Judged } from '../../src/tasks/errors/judged.ts';
import { markedHtml } from '../../src/tasks/errors/marks.ts';
import { errorsPage } from '../../src/tasks/errors/page.ts';
import { matchRelations } from '../../src/tasks/errors/relations.ts';
import { errorRows } from '../../src/tasks/errors/rows.ts';
import { analysisText, calibrationText } from '../../src/tasks/errors/words.ts';
import type { Sentence } from '../../src/tasks/dataset.ts';
import { evaluate } from '../../src/tasks/spans/evaluate.ts';
import type { Prediction } from '../../src/tasks/spans/decode.ts';

const entity = (type: string, start: number, end: number, score?: number) => ({
  ...{ type, start, end },
  ...(score !== undefined && { score }),
});
const relation = (type: string, head: number, tail: number) => ({ type, head, tail });

test('errors: entities are paired one to one, the nearest first', (t) => {
  const gold = [
    entity('Person', 0, 4),
    entity('Place', 5, 9),
    entity('Person', 10, 20),
    entity('Place', 30, 34),
    entity('Person', 40, 44),
    entity('Person', 0, 4),
  ];
  const predicted = [
    entity('Person', 0, 4),
    entity('Person', 5, 9),
    entity('Person', 10, 18),
    entity('Person', 12, 14),
    entity('Person', 30, 33),
    entity('Place', 50, 51),
    { ...entity('Place', 40, 44), objectOnly: true as const },
  ];
  t.deepEqual(matchEntities(gold, predicted), [
    { verdict: 'right', gold: 0, predicted: 0 },
    { verdict: 'type', gold: 1, predicted: 1 },
    { verdict: 'boundary', gold: 2, predicted: 2 },
    { verdict: 'spurious', predicted: 3 },
    { verdict: 'both', gold: 3, predicted: 4 },
    { verdict: 'missed', gold: 4 },
    { verdict: 'spurious', predicted: 5 },
  ]);
  t.end();
});

test('errors: relations by cause', (t) => {
  const gold = {
    entities: [entity('A', 0, 1), entity('B', 2, 3), entity('C', 4, 6), entity('D', 8, 9)],
    relations: [
      relation('right', 0, 1),
      relation('turned', 0, 1),
      relation('named', 1, 2),
      relation('wide', 0, 2),
      relation('lost', 2, 3),
      relation('unseen', 1, 0),
      relation('mutual', 1, 2),
    ],
  };
  const predicted = {
    entities: [
      entity('A', 0, 1),
      entity('B', 2, 3),
      entity('C', 4, 7),
      entity('E', 20, 21),
      entity('C', 4, 6),
    ],
    relations: [
      relation('right', 0, 1),
      relation('turned', 1, 0),
      relation('other', 1, 4),
      relation('wide', 0, 2),
      relation('far', 0, 3),
      relation('made', 2, 1),
      relation('mutual', 4, 1),
    ],
  };
  const rules = { symmetric: ['mutual'], typedEnds: true };
  const told = matchRelations(gold, predicted, rules).map(({ verdict, gold: g, predicted: p }) => [
    gold.relations[g ?? -1]?.type,
    verdict,
    predicted.relations[p ?? -1]?.type,
  ]);
  t.deepEqual(told, [
    ['right', 'right', 'right'],
    ['mutual', 'right', 'mutual'],
    ['wide', 'endBoundary', 'wide'],
    ['turned', 'direction', 'turned'],
    ['named', 'type', 'other'],
    ['lost', 'endMissed', undefined],
    ['unseen', 'missed', undefined],
    [undefined, 'endSpurious', 'far'],
    [undefined, 'spurious', 'made'],
  ]);
  const retyped = {
    entities: [entity('A', 0, 1), entity('Z', 2, 3)],
    relations: [relation('right', 0, 1)],
  };
  const one = { ...gold, relations: gold.relations.slice(0, 1) };
  t.deepEqual(
    [true, false].map((typedEnds) => matchRelations(one, retyped, { symmetric: [], typedEnds })[0].verdict),
    ['endType', 'right'],
  );
  t.end();
});

/** Random sentences and predictions that share some of their annotations. */
function randomCorpus(seed: number): { gold: Sentence[]; predicted: Prediction[] } {
  const draw = stream(seed, 0, 0);
  const below = (n: number) => Math.floor(draw.uniform() * n);
  const annotation = (length: number) => {
    const entities = Array.from({ length: below(6) }, () => {
      const start = below(length);
      return {
        type: 'ABC'[below(3)],
        start,
        end: start + 1 + below(Math.min(3, length - start)),
        score: draw.uniform(),
      };
    });
    const relations = Array.from({ length: entities.length > 1 ? below(5) : 0 }, () => {
      const head = below(entities.length);
      return {
        type: 'xyz'[below(3)],
        head,
        tail: (head + 1 + below(entities.length - 1)) % entities.length,
        score: draw.uniform(),
      };
    });
    return { entities, relations };
  };
  const gold: Sentence[] = [];
  const predicted: Prediction[] = [];
  for (let i = 0; i < 200; i++) {
    const tokens = Array.from({ length: 2 + below(5) }, () => 'ab'.repeat(1 + below(3)));
    const truth = annotation(tokens.length);
    const beyond = { entities: ['A', 'D'], relations: ['x'] };
    gold.push({ tokens, ...truth, id: i, ...(below(20) === 0 && { beyond }) });
    predicted.push(below(2) ? annotation(tokens.length) : truth);
  }
  return { gold, predicted };
}

test('errors: what is right is what the scores count', (t) => {
  const { gold, predicted } = randomCorpus(7);
  for (const symmetric of [[], ['x']]) {
    const scores = evaluate(gold, predicted, symmetric);
    const texts = judgedSentences(gold, predicted);
    const strict = analyse({ texts, symmetric, typedEnds: true });
    const loose = analyse({ texts, symmetric, typedEnds: false });
    t.deepEqual(strict.entities?.score, scores.ner.micro, 'entities');
    t.deepEqual(strict.relations?.score, scores.rePlus.micro, 'relations with the types of their ends');
    t.deepEqual(loose.relations?.score, scores.re.micro, 'relations without');
    for (const [type, { p, r, f1, support }] of Object.entries(scores.ner.perType)) {
      const own = strict.entities!.perType[type];
      t.deepEqual([own.p, own.r, own.f1, own.support], [p, r, f1, support], type);
    }
    const { verdicts, score } = strict.entities!;
    t.ok(strict.entities!.perType.D.support > 0, 'what no words can express is missed');
    const sum = (side: 'gold' | 'predicted') =>
      Object.values(verdicts).reduce((total, counts) => total + counts[side], 0);
    t.deepEqual(
      [sum('gold'), sum('predicted')],
      [score.support, score.predicted],
      'every fact has one verdict',
    );
  }
  const given = analyse({
    texts: judgedSentences(gold, predicted),
    symmetric: [],
    typedEnds: false,
    given: true,
  });
  t.notOk(given.entities);
  t.end();
});

test('errors: calibration', (t) => {
  const scored = [
    { score: 0.95, right: true },
    { score: 0.91, right: true },
    { score: 0.91, right: false },
    { score: 0.4, right: true },
    { score: 0.2, right: false },
    { score: 0.1, right: false },
    { score: 1, right: true },
  ];
  const cuts = cutsOf(scored, 5);
  t.deepEqual(
    cuts.map(({ threshold }) => threshold),
    [0.1, 0.2, 0.4, 0.91, 0.95, 1],
  );
  t.deepEqual(
    cuts.map(({ predicted }) => predicted),
    [7, 6, 5, 4, 2, 1],
    'of one score all or none',
  );
  const found = calibrationOf(scored, 5)!;
  t.equal(found.best.threshold, 0.4);
  t.ok(Math.abs(found.best.f1 - 0.8) < 1e-12 && Math.abs(found.all.f1 - 8 / 12) < 1e-12);
  t.deepEqual(
    found.bins.map(({ from, count, right }) => [from, count, right]),
    [
      [0.1, 1, 0],
      [0.2, 1, 0],
      [0.4, 1, 1],
      [0.9, 4, 0.75],
    ],
  );
  t.ok(Math.abs(found.error - (0.1 + 0.2 + 0.6 + 4 * Math.abs(0.9425 - 0.75)) / 7) < 1e-12);
  t.equal(calibrationOf([], 3), undefined);
  t.equal(bestCut([]), undefined);
  const even = bestCut(
    cutsOf(
      [
        { score: 0.5, right: true },
        { score: 0.2, right: false },
      ],
      0,
    ),
  );
  t.equal(even?.threshold, 0.2, 'of equal F1 the lowest keeps all');
  t.match(calibrationText(found, 'entities'), /too sure|not sure enough|agrees/);
  t.end();
});

const mark = (start: number, end: number, label: string) => ({ start, end, label, classes: 'right' });
const plain = (html: string) => html.replace(/<small>.*?<\/small>|<[^>]*>/g, '');

test('errors: marks nest, cross and escape', (t) => {
  const text = 'a <b> & "c" d';
  const [nested, ...none] = markedHtml(text, [mark(2, 5, 'X'), mark(0, 5, 'Y<'), mark(2, 5, 'Z')]);
  t.equal(none.length, 0);
  t.equal(plain(nested), 'a &lt;b&gt; &amp; &quot;c&quot; d', 'the text, once');
  t.match(nested, /<small>Y&lt;<\/small>/);
  t.equal((nested.match(/<mark /g) ?? []).length, (nested.match(/<\/mark>/g) ?? []).length);
  const crossing = markedHtml(text, [mark(0, 5, 'X'), mark(2, 7, 'Y'), mark(12, 13, 'Z')]);
  t.equal(crossing.length, 2, 'what crosses has the text again');
  for (const html of crossing) t.equal(plain(html), plain(nested));
  t.equal(markedHtml('x\u0000\ud83d\u001b', [])[0], 'x\ufffd\ufffd\ufffd', 'what HTML cannot hold');
  t.equal(plain(markedHtml('a😀b', [mark(1, 2, 'half')])[0]), 'a\ufffd\ufffdb', 'half of a pair');
  t.end();
});

const hostile: Judged = {
  text: '</p><script>alert(1)</script> & "quoted" \u202e names',
  id: '<img src=x onerror=alert(1)>',
  gold: { entities: [entity('<b>T</b>', 4, 12)], relations: [] },
  predicted: { entities: [entity('"U"', 4, 12, 0.5)], relations: [] },
};

test('errors: the page and the rows', (t) => {
  const { gold, predicted } = randomCorpus(3);
  const texts = [...judgedSentences(gold, predicted), hostile];
  const analysis = analyse({ texts, symmetric: [], typedEnds: true });
  const page = errorsPage(analysis, { model: 'runs/<m>', data: 'test & dev.json' });
  t.notOk(/<script|<img|<b>T|onerror=alert\(1\)>/.test(page), 'nothing of the data is markup');
  t.notOk(/https?:|url\(|@import|<[^>]* (src|href)=/.test(page), 'nothing is loaded');
  t.match(page, /<title>What runs\/&lt;m&gt; gets wrong in test &amp; dev\.json<\/title>/);
  for (const line of analysisText(analysis)) t.ok(page.includes(line), line);
  t.equal((page.match(/<section class="text/g) ?? []).length, texts.length - analysis.rightTexts);
  const opened = (tag: string) => (page.match(new RegExp(`<${tag}[ >]`, 'g')) ?? []).length;
  const closed = (tag: string) => (page.match(new RegExp(`</${tag}>`, 'g')) ?? []).length;
  for (const tag of ['section', 'p', 'mark', 'small', 'table', 'tr', 'td', 'ul', 'li', 'span', 'svg'])
    t.equal(opened(tag), closed(tag), tag);

  const rows = errorRows(analysis.texts).trimEnd().split('\n');
  t.equal(rows.length, texts.length, 'a line a text');
  const last = JSON.parse(rows.at(-1)!);
  t.deepEqual([last.row, last.id, last.errors], [texts.length, hostile.id, 1]);
  t.deepEqual(last.entities, [
    {
      verdict: 'type',
      gold: { type: '<b>T</b>', text: '<script>'.slice(0, 8), start: 4, end: 12 },
      predicted: { type: '"U"', text: '<script>', start: 4, end: 12, score: 0.5 },
    },
  ]);
  t.deepEqual(
    JSON.parse(predictionsJson({ texts, symmetric: [], typedEnds: true }))
      .slice(0, gold.length)
      .map(({ tokens, entities, relations, id }: Sentence) => ({ tokens, entities, relations, id })),
    gold.map(({ tokens, id }, i) => ({ tokens, ...predicted[i], id })),
    'predictions as a corpus, in tokens',
  );
  const perfect = analyse({
    texts: judgedSentences(
      gold.map((sentence) => ({ ...sentence, beyond: undefined })),
      gold as (Sentence & Prediction)[],
    ),
    symmetric: [],
    typedEnds: true,
  });
  t.match(errorsPage(perfect, { model: 'm', data: 'd' }), /None has an error/);
  t.end();
});
