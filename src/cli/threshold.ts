/** `--threshold` of the commands that use a trained model. */
import type { Corpus, Tuned } from '../tasks/definition.ts';
import { folderStorage } from '../tasks/folder.ts';
import { keepThreshold } from '../tasks/keep-threshold.ts';
import type { LoadedModel } from '../tasks/model.ts';
import type { Arguments, Option } from './command.ts';
import { percent } from './print.ts';

export const thresholdOption: Option = {
  value: 'X',
  doc: "score from which on a relation counts, of CEREM an end of an answer (default: the checkpoint's)",
};

export const AUTO = 'auto';

/** The threshold that is named; undefined where none is, or it is to be chosen. Errors: usage errors. */
export function givenThreshold(args: Arguments): number | undefined {
  if (args.optional('threshold') === undefined || args.optional('threshold') === AUTO) return undefined;
  const threshold = args.number('threshold', 0, 0);
  return threshold <= 1 ? threshold : args.fail(`--threshold must be at most 1, got "${threshold}"`);
}

/**
 * Chooses the threshold with the best F1 on a corpus and keeps it in the checkpoint.
 * @param options how the model is used on the corpus
 * @returns what was chosen, and a line that says so
 */
export async function chooseThreshold(
  model: LoadedModel,
  corpus: Corpus,
  options: Record<string, unknown>,
): Promise<{ tuned: Tuned; remark: string }> {
  const { definition } = model;
  const tuned = await definition.threshold.tune(model, corpus, options);
  const owner = definition.threshold.model(model, options);
  await keepThreshold(definition, owner, tuned.threshold, folderStorage(owner.what));
  const { key, of } = definition.threshold;
  const { threshold, f1, before } = tuned;
  return {
    tuned,
    remark:
      `${key} ${threshold}, with the best F1 of ${of} on ${corpus.file}, ${percent(f1)} in place of ${percent(before)}, ` +
      `is kept in ${owner.what}; scores on the same texts flatter it`,
  };
}
