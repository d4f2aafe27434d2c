/** How far answers may reach. */
import test from 'tape';
import { parseCeremConfig } from '../../../src/models/cerem.ts';
import type { Document } from '../../../src/tasks/document.ts';
import { answerLimits, crossesSentence, fitting, limitNotes } from '../../../src/tasks/prompts/limits.ts';

test('answers: what crosses the end of a sentence', (t) => {
  const cases: [text: string, crosses: boolean][] = [
    ['小林看海。她走', true],
    ['小林看海。', false],
    ['小林看海。”', false],
    ['three\nlines', true],
    ['the harbour. Nobody came', true],
    ['the harbour.', false],
    ['Dr. Lena Falk', false],
    ['U.S. Navy', false],
    ['version 2.5 of it', false],
    ['Really? Yes', true],
    ['…', false],
  ];
  for (const [text, crosses] of cases) {
    t.equal(crossesSentence(text, 0, text.length), crosses, JSON.stringify(text));
    t.equal(crossesSentence(`a。${text}。b`, 2, 2 + text.length), crosses, 'whatever stands around it');
  }
  t.end();
});

const named = (type: string, length: number, times: number, text = 'x'.repeat(40)): Document => ({
  text,
  entities: Array.from({ length: times }, () => ({ type, start: 0, end: length })),
  relations: [],
});

test('answers: limits are learnt by type', (t) => {
  const related: Document = {
    text: 'ab。cd',
    entities: [
      { type: 'A', start: 0, end: 2 },
      { type: 'B', start: 1, end: 5 },
    ],
    relations: [{ type: 'r', head: 0, tail: 1 }],
  };
  const limits = answerLimits([named('A', 3, 12), named('C', 9, 10), named('D', 1, 9), related]);
  t.deepEqual(
    limits.entities,
    {
      A: { longest: 3, acrossSentences: false },
      C: { longest: 9, acrossSentences: false },
      D: { longest: 9, acrossSentences: true },
      B: { longest: 9, acrossSentences: true },
    },
    'of few answers those of all types count',
  );
  t.deepEqual(limits.relations, { r: { longest: 4, acrossSentences: true } });
  t.deepEqual(answerLimits([]), { entities: {}, relations: {} });

  const fits = fitting(limits.entities);
  const text = `${'x'.repeat(20)}。${'x'.repeat(20)}`;
  const tells = (of: typeof fits, type: string, start: number, end: number) => of(type, text, { start, end });
  t.deepEqual(
    [tells(fits, 'A', 0, 3), tells(fits, 'A', 0, 4), tells(fits, 'A', 19, 22)],
    [true, false, false],
  );
  t.deepEqual(
    [tells(fits, 'D', 19, 22), tells(fits, 'new', 0, 40)],
    [true, true],
    'of what is not known all',
  );
  t.ok(tells(fits, 'constructor', 0, 40), 'a type may have any name');
  const wide = fitting(limits.entities, 5);
  t.deepEqual(
    [tells(wide, 'A', 0, 5), tells(wide, 'C', 0, 6), tells(wide, 'A', 19, 22)],
    [true, false, false],
  );
  t.ok(tells(fitting(limits.entities, 0), 'A', 0, 41), '0: no limit');
  t.ok(tells(fitting(undefined), 'A', 0, 41), 'a checkpoint of before');
  t.end();
});

test('answers: gold beyond the limits is counted', (t) => {
  const related: Document = { ...named('A', 8, 2), relations: [{ type: 'r', head: 0, tail: 1 }] };
  const asked = new Map([['A', new Set(['r'])]]);
  const notes = (limits: Parameters<typeof limitNotes>[2], maxAnswer?: number, of = asked) =>
    limitNotes([related], of, limits, maxAnswer).map((note) => /: (\d+); counted as missed$/.exec(note)?.[1]);
  const limits = answerLimits([named('A', 3, 12)]);
  t.deepEqual(notes(limits), ['2'], 'entities that are longer');
  t.deepEqual(notes(limits, 4), ['3'], 'and the object of a relation');
  t.deepEqual(notes(limits, 8), []);
  t.deepEqual(notes(undefined), [], 'a checkpoint of before');
  t.deepEqual(notes(limits, 4, new Map()), [], 'what is not asked for is not counted');
  t.end();
});

test('answers: limits in a configuration', (t) => {
  const json = {
    ...{ model: 'cerem', scales: [2], heads: 1, headSize: 4 },
    encoder: {
      ...{
        vocab_size: 9,
        hidden_size: 4,
        num_hidden_layers: 1,
        num_attention_heads: 1,
        intermediate_size: 4,
      },
      max_position_embeddings: 16,
    },
  };
  t.notOk('answers' in parseCeremConfig(json, 'c'), 'absent where it was: the same configuration');
  const answers = { entities: { A: { longest: 3, acrossSentences: false } }, relations: {} };
  t.deepEqual(parseCeremConfig({ ...json, answers }, 'c').answers, answers);
  const bad = { entities: { A: { longest: 0, acrossSentences: false } }, relations: {} };
  t.throws(() => parseCeremConfig({ ...json, answers: bad }, 'c'), /entities: A: "longest" must be/);
  t.end();
});
