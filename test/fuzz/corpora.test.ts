/** Readers of corpora and of texts, on 5,000 inputs each; `bench fuzz` goes on from here. */
import { corpusTargets } from './targets-corpora.ts';
import { tryReaders } from './try-readers.ts';

tryReaders(corpusTargets);
