/** Annotated texts by character: what CEREM reads and writes. Sentences of tokens are in `dataset.ts`. */
import type { Annotation } from './dataset.ts';

/** A text of any length; `start` and `end` of its entities are UTF-16 code units of `text`, `end` exclusive. */
export interface Document extends Annotation {
  text: string;
  id?: string | number;
  /** The tokens of its source, where that had some: parts of `text` in order, at most white space between them. */
  tokens?: string[];
}
