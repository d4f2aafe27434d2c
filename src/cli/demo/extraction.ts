/** What a model found in a text, to read. */
import type { Extraction } from '../../tasks/extraction.ts';

/** The text, and below it a line for each of its entities and relations. */
export function extractionLines({ text, entities, relations }: Extraction): string {
  const found = entities.map((e) => `  ${e.type}: ${e.text} [${e.start}, ${e.end})  ${e.score.toFixed(2)}`);
  const related = relations.map(
    (r) => `  ${entities[r.head].text} —${r.type}→ ${entities[r.tail].text}  ${r.score.toFixed(2)}`,
  );
  const nothing = found.length > 0 ? [] : ['  (nothing found)'];
  return [text, ...nothing, ...found, ...related].map((line) => `${line}\n`).join('');
}
