/** Byte-level BPE (GPT-2, RoBERTa): one printable letter for each byte of UTF-8. */
import { ByteLevelPreTokenizer } from '@huggingface/tokenizers';
import { InputError } from '../../../kernels/errors.ts';
import { parseObject, type Json } from '../../io/json.ts';
import type { TokenizerConfig } from './tokenizer-config.ts';

/**
 * The `tokenizer.json` that `vocab.json` and `merges.txt` amount to, as `RobertaTokenizer` uses them.
 * @param config says whether a text begins as if after a space (`add_prefix_space`)
 * @throws InputError naming the file, and the line that is no merge
 */
export function byteLevelDefinition(vocabText: string, mergesText: string, config: TokenizerConfig): Json {
  const vocab = parseObject(vocabText, config.pathOf('vocab.json'));
  const merges = mergesText.split('\n').flatMap((ended, i): [string, string][] => {
    const line = ended.replace(/\r$/, '');
    if (line === '' || line.startsWith('#version')) return [];
    const parts = line.split(' ');
    if (parts.length === 2) return [[parts[0], parts[1]]];
    throw new InputError(
      `${config.pathOf('merges.txt')}: line ${i + 1}: ${JSON.stringify(line)} is not two pieces with a space between`,
    );
  });
  return {
    version: '1.0',
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: config.boolean('add_prefix_space') ?? false },
    post_processor: null,
    decoder: { type: 'ByteLevel' },
    model: { type: 'BPE', vocab, merges },
  };
}

const bytes = new ByteLevelPreTokenizer({ type: 'ByteLevel', add_prefix_space: false, use_regex: false });

/** A text as byte-level vocabularies spell it: Ġ for a space, Ċ for a line end. */
export const spellBytes = (text: string): string =>
  text === '' ? '' : bytes.pre_tokenize_text(text).join('');

/** Whether a `pre_tokenizer`, or a step of it, is byte-level. */
export function hasByteLevel(preTokenizer: unknown): boolean {
  if (typeof preTokenizer !== 'object' || preTokenizer === null) return false;
  const { type, pretokenizers } = preTokenizer as Json;
  return type === 'ByteLevel' || (Array.isArray(pretokenizers) && pretokenizers.some(hasByteLevel));
}
