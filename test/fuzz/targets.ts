/** Every reader that is fuzzed. */
import type { Target } from './campaign.ts';
import { corpusTargets } from './targets-corpora.ts';
import { fileTargets } from './targets-files.ts';
import { kernelTargets } from './targets-kernels.ts';
import { vocabularyTargets } from './targets-vocabularies.ts';

export const targets: readonly Target[] = [
  ...fileTargets,
  ...vocabularyTargets,
  ...corpusTargets,
  ...kernelTargets,
];
