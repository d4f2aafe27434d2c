/** Annotated documents of our own, drawn from a seed, to send through every format. */
import { stream, type Random } from '../../src/nn/random.ts';
import type { Entity, Relation } from '../../src/tasks/dataset.ts';
import type { Row } from '../../src/tasks/corpus/row.ts';

/** Words with surrogate pairs, joined emoji, marks, a word that the word rule splits, and plain ones. */
const WORDS = [
  'Maren',
  'Quist',
  '🌾',
  '𠮷野',
  'U.S.',
  'état',
  'é',
  '👩‍🌾',
  'Tolm',
  'reed-bed',
  '姜瘟病',
  ',',
  '😀😀',
  '的',
  'x',
];
const TYPES = ['Person', 'Org', '病虫害', 'B-side'];
const RELATIONS = ['leads', 'in', '危害'];

const pick = <T>(random: Random, of: readonly T[]): T => of[random.integer(of.length)];

/** Entities over `length` places: nested, crossing, touching, two types on one span; none of them twice. */
function entities(random: Random, length: number): Entity[] {
  const found = new Map<string, Entity>();
  for (let n = random.integer(6); n > 0; n--) {
    const before = [...found.values()].at(-1);
    // Often where the last one ended, or within it.
    const start =
      before && random.integer(2) === 0 ? pick(random, [before.start, before.end]) : random.integer(length);
    if (start >= length) continue;
    const end = Math.min(length, start + 1 + random.integer(4));
    const entity = { type: pick(random, TYPES), start, end };
    found.set(JSON.stringify(entity), entity);
  }
  return [...found.values()];
}

function relations(random: Random, count: number): Relation[] {
  const found = new Map<string, Relation>();
  for (let n = count > 1 ? random.integer(4) : 0; n > 0; n--) {
    const [head, tail] = [random.integer(count), random.integer(count)];
    const relation = { type: pick(random, RELATIONS), head, tail };
    if (head !== tail) found.set(JSON.stringify(relation), relation);
  }
  return [...found.values()];
}

/** Where each word stands in a text, in UTF-16 code units. */
interface Words {
  text: string;
  tokens: string[];
  starts: number[];
}

function words(random: Random): Words {
  const [tokens, starts]: [string[], number[]] = [[], []];
  let text = '';
  for (let n = 1 + random.integer(12); n > 0; n--) {
    if (text !== '') text += pick(random, [' ', ' ', ' ', '', '  ', '\u3000']);
    starts.push(text.length);
    tokens.push(pick(random, WORDS));
    text += tokens[tokens.length - 1];
  }
  return { text, tokens, starts };
}

/** Document i: by turns of tokens, of tokens with their text, and of a text whose entities may cut its words. */
export function madeRow(seed: number, i: number): Row {
  const random = stream(seed, i);
  const { text, tokens, starts } = words(random);
  const own = entities(random, tokens.length);
  const rest = {
    place: `row ${i + 1}`,
    relations: relations(random, own.length),
    id: i < 25 ? i + 1 : `d${i + 1}`,
  };
  if (i % 3 < 2) return { ...rest, tokens, ...(i % 3 === 1 ? { text } : {}), entities: own };
  const inText = own.map(({ type, start, end }) => ({
    type,
    start: starts[start],
    end: starts[end - 1] + tokens[end - 1].length,
  }));
  return { ...rest, text, entities: inText };
}

export const madeRows = (seed: number, count: number): Row[] =>
  Array.from({ length: count }, (_, i) => madeRow(seed, i));
