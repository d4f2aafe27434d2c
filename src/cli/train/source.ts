/** Where a model to train comes from: its configuration, its encoder, its vocabulary; and where it goes. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../../../kernels/errors.ts';
import type { Json } from '../../models/config.ts';
import { CONFIG, readEncoder, readJsonFile, type PretrainedEncoder } from '../../tasks/checkpoint.ts';
import { smallEncoder } from '../../tasks/small-encoder.ts';
import { loadTokenizer } from '../../tasks/text/load.ts';
import type { Tokenizer } from '../../tasks/text/tokenizer.ts';
import { canResume } from '../../tasks/training/state.ts';
import type { Arguments, Command } from '../command.ts';

export const sourceOptions: Command['options'] = {
  encoder: { value: 'DIR', doc: 'pretrained encoder folder (config.json, model.safetensors, vocabulary)' },
  config: {
    value: 'FILE',
    doc: 'model configuration as in a checkpoint; labels default to those of the data',
  },
  vocab: { value: 'FILE', doc: 'vocab.txt or tokenizer.json; built from the training data when absent' },
};

export interface ModelSource {
  /** The configuration, possibly without what follows from the data. */
  json: Json;
  /** Names it in errors. */
  what: string;
  /** Absent for random weights. */
  encoder: PretrainedEncoder | undefined;
  tokenizer: Tokenizer;
}

/**
 * What the options say of a new model.
 * @param small the configuration but for the encoder, where no option gives one
 * @param pretrained what a configuration on a pretrained encoder is, where the options do not say
 * @param vocabulary makes a tokenizer from the training data
 * @throws InputError for files that cannot be read and options that exclude each other
 */
export function modelSource(
  args: Arguments,
  small: Json,
  pretrained: Json,
  vocabulary: () => Tokenizer,
): ModelSource {
  const [folder, file, vocab] = ['encoder', 'config', 'vocab'].map((name) => args.optional(name));
  if (folder !== undefined && vocab !== undefined)
    args.fail('--vocab does not go with --encoder, which has its own');
  const given: Json = file === undefined ? {} : readJsonFile(file, 'config');
  const encoder = folder === undefined ? undefined : readEncoder(folder);
  if (encoder && given.encoder !== undefined)
    throw new InputError(`${file}: "encoder" does not go with --encoder, whose own config counts`);
  const tokenizer = encoder?.tokenizer ?? (vocab === undefined ? vocabulary() : loadTokenizer(vocab));
  const defaults: Json = encoder
    ? { ...pretrained, encoder: encoder.json }
    : { ...(file === undefined ? small : {}), encoder: smallEncoder };
  return { json: { ...defaults, ...given }, what: file ?? 'config', encoder, tokenizer };
}

/** Errors: usage error where an option that makes a new model is given to a run that has one. */
export function refuseSource(args: Arguments, more: readonly string[] = []): void {
  for (const option of [...Object.keys(sourceOptions), ...more])
    if (args.optional(option) !== undefined)
      args.fail(`--${option} does not go with --resume: the run has its model`);
}

/** Errors: InputError where `out` holds a model or a run, which a new one would write over. */
export function refuseModelFolder(out: string, otherwise: string): void {
  if (existsSync(join(out, CONFIG)) || canResume(out))
    throw new InputError(`${out}: already holds a model; choose another --out, ${otherwise}`);
}
