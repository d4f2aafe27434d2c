/** How a model of words parts plain text: a key of its configuration, `words` (docs/spec.md#words). */
import type { Fields, Json } from './config.ts';

/** In the order in which they are preferred where two give the training words back alike. */
export const wordRules = ['basic', 'penn', 'characters'] as const;

export interface WordRule {
  rule: (typeof wordRules)[number];
  /** Words of the training data that the rule would part, and that stay whole. */
  whole: readonly string[];
  /** Brackets are spelt -LRB-, -RRB- and so on, as in the Penn Treebank's files. */
  escaped?: true;
}

/** Of a configuration without the key. */
export const basicWords: WordRule = { rule: 'basic', whole: [] };

/** The rule of a configuration; a rule's name alone is one without words that stay whole. Errors: as `Fields`. */
export function parseWordRule(fields: Fields): WordRule {
  if (!fields.has('words')) return basicWords;
  if (typeof fields.value('words') === 'string') return { rule: fields.oneOf('words', wordRules), whole: [] };
  const own = fields.fields('words');
  const words = { rule: own.oneOf('rule', wordRules), whole: own.strings('whole', []) };
  const escaped = own.boolean('escaped', false);
  own.rejectUnknown();
  return { ...words, ...(escaped && { escaped }) };
}

/** The key as a checkpoint stores it: none where it says no more than none does. */
export const wordRuleJson = ({ rule, whole, escaped }: WordRule): Json =>
  rule === 'basic' && whole.length === 0
    ? {}
    : { words: { rule, ...(whole.length > 0 && { whole }), ...(escaped && { escaped }) } };
