/** `--threshold` of the commands that use a trained model. */
import type { Corpus, Tuned } from '../tasks/definition.ts';
import { folderStorage } from '../tasks/folder.ts';
import { keepThreshold } from '../tasks/keep-threshold.ts';
import type { LoadedModel } from '../tasks/model.ts';
import { definitions } from '../tasks/registry.ts';
import type { Arguments, Option } from './command.ts';
import { percent } from './print.ts';

/** "relations (one, another)". */
const decided = [...new Set(definitions.map(({ threshold }) => threshold.of))].map((of) => {
  const names = definitions.filter(({ threshold }) => threshold.of === of).map(({ name }) => name);
  return `${of} (${names.join(', ')})`;
});

export const thresholdOption: Option = {
  value: 'X',
  doc: `score from which on ${decided.join(' or ')} count (default: the checkpoint's)`,
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
