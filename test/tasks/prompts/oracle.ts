/** What the tests of CEREM's prediction share: a tokenizer of single characters, a tiny model, and one that follows a rule. */
import { InputError } from '../../../kernels/errors.ts';
import type { Runtime } from '../../../src/gpu/runtime.ts';
import { parseCeremConfig, type Cerem } from '../../../src/models/cerem.ts';
import type { Json } from '../../../src/models/config.ts';
import { Parameters, randomSource } from '../../../src/nn/parameters.ts';
import { cerem } from '../../../src/tasks/prompts/cerem.ts';
import type { Tokenizer } from '../../../src/tasks/text/tokenizer.ts';
import { createWordPieceTokenizer } from '../../../src/tasks/text/wordpiece.ts';

const SPECIAL = ['[PAD]', '[UNK]', '[CLS]', '[SEP]'];

/** A tokenizer that has every character of `texts`, also within words. */
export function tokenizerOf(texts: readonly string[]): Tokenizer {
  const characters = [...new Set(texts.join(''))].filter((c) => c.trim() !== '');
  const vocab = [...SPECIAL, ...characters, ...characters.map((c) => `##${c}`)];
  return createWordPieceTokenizer({ vocab, doLowerCase: false });
}

/** One layer of 16 with random weights; `given` overrides. */
export function tinyModel(runtime: Runtime, tokenizer: Tokenizer, given: Json = {}): Cerem {
  const encoder = {
    model_type: 'bert',
    vocab_size: tokenizer.vocabSize,
    hidden_size: 16,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    intermediate_size: 32,
    hidden_act: 'gelu',
    max_position_embeddings: 64,
    type_vocab_size: 2,
    layer_norm_eps: 1e-12,
  };
  const config = { model: 'cerem', encoder, scales: [2, 3], heads: 2, headSize: 8, maxLength: 64, ...given };
  return cerem.build(new Parameters(runtime, randomSource(3)), parseCeremConfig(config, 'config'), {
    pooler: false,
  });
}

/** What is to be found in a text for a prompt: ranges of code points, `end` exclusive, of the text without its spaces. */
export type Rule = (prompt: string, text: string) => (readonly [start: number, end: number])[];

/** All places of `words` in a text: what most rules are made of. */
export const placesOf = (text: string, ...words: string[]): [number, number][] =>
  words.flatMap((word) =>
    [...text].flatMap((_, at): [number, number][] =>
      [...text].slice(at, at + [...word].length).join('') === word ? [[at, at + [...word].length]] : [],
    ),
  );

/** The inputs that went through a model that follows a rule, batch by batch. */
export type Seen = { prompt: string; text: string }[][];

/**
 * Replaces the model's forward pass by a rule that sees what the model would: the characters of prompt and text (a
 * window of it) in the batch's ids, one piece a character. Everything around the pass stays as it is.
 */
export function follow(model: Cerem, tokenizer: Tokenizer, rule: Rule): Seen {
  const { runtime } = model.parameters;
  const { 'vocab.txt': vocab } = tokenizer.files();
  const characters = vocab.split('\n').map((entry) => entry.replace('##', ''));
  const seen: Seen = [];
  model.forward = ({ ids, tokenTypes, lengths, rows, columns }) => {
    const [start, end] = [
      new Float32Array(rows * columns).fill(-9),
      new Float32Array(rows * columns).fill(-9),
    ];
    const batch = Array.from({ length: rows }, (_, b) => {
      const at = b * columns;
      const textStart = at + tokenTypes!.subarray(at, at + columns).indexOf(1);
      const spelt = (from: number, to: number): string =>
        Array.from(ids.subarray(from, to), (id) => characters[id]).join('');
      const input = {
        prompt: spelt(at + 1, textStart - 1),
        text: spelt(textStart, at + lengths[b] - 1),
      };
      for (const [from, to] of rule(input.prompt, input.text)) {
        start[textStart + from] = 9;
        end[textStart + to - 1] = 9;
      }
      return input;
    });
    seen.push(batch);
    return {
      start: runtime.upload(start, [rows, columns]),
      end: runtime.upload(end, [rows, columns]),
    };
  };
  return seen;
}

/** The message of the InputError that `action` ends in; any other outcome is told as such. */
export async function inputError(action: () => unknown): Promise<string> {
  try {
    await action();
  } catch (error) {
    if (error instanceof InputError) return error.message;
    return `not an InputError: ${(error as Error).stack}`;
  }
  return 'no error';
}
