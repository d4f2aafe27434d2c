/** The errors of every text as JSON lines. */
import type { TextErrors } from './analysis.ts';
import type { JudgedAnnotation } from './judged.ts';

interface Match {
  verdict: string;
  gold?: number;
  predicted?: number;
}

function relationOf({ entities, relations }: JudgedAnnotation, text: string, i: number | undefined) {
  if (i === undefined) return undefined;
  const { type, head, tail, score } = relations[i];
  const end = (e: number) => {
    const { type: of, start, end: until } = entities[e];
    return { type: of, text: text.slice(start, until), start, end: until };
  };
  return { type, head: end(head), tail: end(tail), score };
}

function entityOf({ entities }: JudgedAnnotation, text: string, i: number | undefined) {
  if (i === undefined) return undefined;
  const { type, start, end, score } = entities[i];
  return { type, text: text.slice(start, end), start, end, score };
}

/** A line a text, in order: `row` from 1, `errors` their number, every match with gold, prediction and verdict. */
export const errorRows = (texts: readonly TextErrors[]): string =>
  texts
    .map(({ judged: { text, id, gold, predicted }, entities, relations, errors }, i) => {
      const both =
        <T>(of: (annotation: JudgedAnnotation, text: string, i: number | undefined) => T) =>
        ({ verdict, ...at }: Match) => ({
          verdict,
          gold: of(gold, text, at.gold),
          predicted: of(predicted, text, at.predicted),
        });
      const row = {
        ...{ row: i + 1, id, errors, text },
        entities: entities.map(both(entityOf)),
        relations: relations.map(both(relationOf)),
      };
      return `${JSON.stringify(row)}\n`;
    })
    .join('');
