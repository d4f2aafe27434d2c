/** Documents with what a CEREM found, for an analysis of errors: the gold as far as the schema asks for it. */
import type { Judgement } from '../errors/judged.ts';
import type { Document } from '../document.ts';
import type { PredictedDocument } from './extract.ts';
import type { Schema } from './schema.ts';

/** @param predicted one for each document */
export function judgedDocuments(
  documents: readonly Document[],
  predicted: readonly PredictedDocument[],
  schema: Schema,
): Judgement {
  const asked = new Map(
    schema.entities.map(({ type, relations }) => [type, new Set(relations.map((r) => r.type))]),
  );
  const texts = documents.map(({ text, tokens, id, entities, relations }, i) => ({
    text,
    ...(tokens && { tokens }),
    ...(id === undefined ? {} : { id }),
    gold: {
      entities: entities.map((entity) =>
        asked.has(entity.type) ? entity : { ...entity, objectOnly: true as const },
      ),
      relations: relations.filter(({ type, head }) => asked.get(entities[head].type)?.has(type)),
    },
    predicted: { entities: predicted[i].entities, relations: predicted[i].relations },
  }));
  return { texts, symmetric: [], typedEnds: false };
}
