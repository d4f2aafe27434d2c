/** What the configurations of all models of sentences of words have. */
import type { BertConfig } from './bert.ts';
import type { WordRule } from './word-rule.ts';

export interface SentenceConfig {
  encoder: BertConfig;
  entityTypes: string[];
  relationTypes: string[];
  /** Those of `relationTypes` of which either end may be the head; none when absent. */
  symmetric?: string[];
  /** Words of the widest span. */
  maxSpanWidth: number;
  /** Score from which on a relation holds. */
  relationThreshold: number;
  /** How plain text is parted; absent: `basicWords`. */
  words?: WordRule;
}
