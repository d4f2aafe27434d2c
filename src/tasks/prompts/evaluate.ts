/** The scores of a trained CEREM on annotated documents. */
import type { Cerem } from '../../models/cerem.ts';
import type { BootstrapOptions } from '../bootstrap.ts';
import type { Document } from '../document.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import {
  effortNotes,
  extractDocuments,
  type ExtractionReport,
  type ExtractOptions,
  type PredictedDocument,
} from './extract.ts';
import { limitNotes } from './limits.ts';
import { askedTypes, relationNotes, sampleNotes } from './samples.ts';
import type { Schema } from './schema.ts';
import { scoreDocuments, type CeremScores } from './scores.ts';

export interface EvaluateOptions extends ExtractOptions {
  bootstrap?: BootstrapOptions;
  /** Names document i in errors; "document i + 1" when absent. */
  what?: (i: number) => string;
  /** Receives what was predicted, a document for each. */
  onPredicted?: (documents: readonly PredictedDocument[]) => void;
}

export interface CeremEvaluation extends CeremScores {
  /** What extraction took. */
  effort: ExtractionReport;
  /** What of the gold is not scored or cannot be found, a line each. */
  notes: string[];
}

/**
 * Extracts every document by the schema, from the text alone (subjects are predicted, not gold), and scores the result.
 * @throws InputError as `extractDocuments`, and for bootstrap options that are no counts
 */
export async function evaluateCerem(
  model: Cerem,
  tokenizer: Tokenizer,
  documents: readonly Document[],
  schema: Schema,
  options: EvaluateOptions = {},
): Promise<CeremEvaluation> {
  const what = options.what ?? ((i: number) => `document ${i + 1}`);
  const { documents: predicted, report } = await extractDocuments(
    model,
    tokenizer,
    documents,
    schema,
    what,
    options,
  );
  options.onPredicted?.(predicted);
  return {
    ...scoreDocuments(documents, predicted, schema, options.bootstrap),
    effort: report,
    notes: [
      ...sampleNotes(documents, schema),
      ...relationNotes(documents, schema),
      ...limitNotes(documents, askedTypes(schema), model.config.answers, options.maxAnswer),
      ...effortNotes(report),
    ],
  };
}
