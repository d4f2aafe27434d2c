/** Readers of a model's files and of what kernels are given, on 5,000 inputs each; `bench fuzz` goes on from here. */
import { fileTargets } from './targets-files.ts';
import { kernelTargets } from './targets-kernels.ts';
import { vocabularyTargets } from './targets-vocabularies.ts';
import { tryReaders } from './try-readers.ts';

tryReaders([...fileTargets, ...vocabularyTargets, ...kernelTargets]);
