/** Names of an encoder's tensors: Hugging Face's files, and what of them is the encoder's. */
import { InputError } from '../../kernels/errors.ts';
import type { HostTensor, Select } from '../io/safetensors.ts';
import type { Architecture } from './bert-config.ts';

const bertLayer = {
  attention: {
    query: 'attention.self.query',
    key: 'attention.self.key',
    value: 'attention.self.value',
    output: 'attention.output.dense',
  },
  attentionNorm: 'attention.output.LayerNorm',
  intermediate: 'intermediate.dense',
  output: 'output.dense',
  outputNorm: 'output.LayerNorm',
};

/** What the parts of a layer are called. */
export const layerNames = (architecture: Architecture): typeof bertLayer => {
  if (architecture === 'albert')
    return {
      attention: {
        query: 'attention.query',
        key: 'attention.key',
        value: 'attention.value',
        output: 'attention.dense',
      },
      attentionNorm: 'attention.LayerNorm',
      intermediate: 'ffn',
      output: 'ffn_output',
      outputNorm: 'full_layer_layer_norm',
    };
  if (architecture === 'distilbert')
    return {
      attention: {
        query: 'attention.q_lin',
        key: 'attention.k_lin',
        value: 'attention.v_lin',
        output: 'attention.out_lin',
      },
      attentionNorm: 'sa_layer_norm',
      intermediate: 'ffn.lin1',
      output: 'ffn.lin2',
      outputNorm: 'output_layer_norm',
    };
  return bertLayer;
};

/** What layer i is called; all are one with ALBERT. */
export const layerName = (architecture: Architecture, i: number): string => {
  if (architecture === 'albert') return 'encoder.albert_layer_groups.0.albert_layers.0';
  return architecture === 'distilbert' ? `transformer.layer.${i}` : `encoder.layer.${i}`;
};

/** What widens embeddings that are smaller than the layers. */
export const widenName = (architecture: Architecture): string =>
  architecture === 'albert' ? 'encoder.embedding_hidden_mapping_in' : 'embeddings_project';

/** What a pooler is called. */
export const poolerName = (architecture: Architecture): string =>
  architecture === 'albert' ? 'pooler' : 'pooler.dense';

/** Whether tensors named as `mapBertNames` names them, under the same prefix, hold a pooler. */
export const hasPooler = (tensors: ReadonlyMap<string, HostTensor>, prefix: string): boolean =>
  ['pooler', 'pooler.dense'].some((name) => tensors.has(`${prefix}${name}.weight`));

/** The tensor that every encoder has: what stands before it stands before all of its names. */
const anchor = 'embeddings.word_embeddings.weight';
/** What the names of an encoder's tensors begin with, and the counters among them that are no weights. */
const own = /^(embeddings|embeddings_project|encoder|transformer|pooler)\./;
const counters = /(^|\.)(position_ids|token_type_ids)$/;

/**
 * The names of the encoder's tensors among those of a file, each with its plain name: without the common prefix, whatever
 * that is, `gamma` and `beta` as `weight` and `bias`. What a file of a task has besides is not among them.
 * @throws InputError where two encoders, or two tensors of one name, are there
 */
export function encoderNames(names: readonly string[]): Map<string, string> {
  const prefixes = names
    .filter((name) => name === anchor || name.endsWith(`.${anchor}`))
    .map((name) => name.slice(0, -anchor.length));
  if (prefixes.length > 1)
    throw new InputError(
      `two tensors are named ${anchor} (one as ${prefixes[1]}${anchor}): which encoder is meant?`,
    );
  // Without the anchor, which is then told as missing, a file's first name that fits says the prefix.
  const [prefix] =
    prefixes.length > 0
      ? prefixes
      : names.flatMap((name) => /^(.*?)(?:embeddings|encoder|transformer)\./.exec(name)?.[1] ?? []);
  const found = new Map<string, string>();
  const plainNames = new Set<string>();
  for (const name of names) {
    if (!name.startsWith(prefix ?? '')) continue;
    const rest = name.slice((prefix ?? '').length);
    if (!own.test(rest) || counters.test(rest)) continue;
    const plain = rest.replace(/\.gamma$/, '.weight').replace(/\.beta$/, '.bias');
    if (plainNames.has(plain)) throw new InputError(`two tensors are named ${plain} (one as ${name})`);
    plainNames.add(plain);
    found.set(name, plain);
  }
  return found;
}

/** Reads an encoder's tensors and no others. */
export const selectEncoder: Select = (names) => new Set(encoderNames(names).keys());

/** A note for each tensor that is not the encoder's. */
export const skippedNotes = (names: readonly string[]): string[] => {
  const kept = encoderNames(names);
  return names.filter((name) => !kept.has(name)).map((name) => `skipped ${name}: not part of the encoder`);
};

/**
 * Maps the names of a Hugging Face file to `Bert`'s, see `encoderNames`.
 * @returns the encoder's tensors under `prefix`, and a note for each other one
 */
export function mapBertNames(
  tensors: ReadonlyMap<string, HostTensor>,
  prefix = '',
): { tensors: Map<string, HostTensor>; notes: string[] } {
  const names = encoderNames([...tensors.keys()]);
  const mapped = new Map<string, HostTensor>();
  for (const [name, tensor] of tensors) {
    const plain = names.get(name);
    if (plain !== undefined) mapped.set(prefix + plain, tensor);
  }
  return { tensors: mapped, notes: skippedNotes([...tensors.keys()]) };
}
