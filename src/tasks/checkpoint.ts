/**
 * Checkpoints: `config.json`, `model.safetensors`, tokenizer files and perhaps a further file, from any source of files
 * and in any runtime. New models, random or on a pretrained encoder, are made here too.
 */
import { InputError } from '../../kernels/errors.ts';
import { sizeOf } from '../../kernels/plan.ts';
import type { Runtime } from '../gpu/runtime.ts';
import type { FileContent } from '../io/files.ts';
import { isObject, parseObject } from '../io/json.ts';
import { serializeSafetensorsPieces, type HostTensor } from '../io/safetensors.ts';
import { ifAny, needed, tensorsOf, type Source } from '../io/source.ts';
import { decodeUtf8 } from '../io/utf8.ts';
import { readWeights, WEIGHTS } from '../io/weights.ts';
import { parseBertConfig, type BertConfig } from '../models/bert-config.ts';
import { hasPooler, mapBertNames, selectEncoder, skippedNotes } from '../models/encoder-names.ts';
import { configJson, Fields, type Json } from '../models/config.ts';
import {
  FileSource,
  Parameters,
  randomSource,
  type Source as ValueSource,
  type StoredPrecision,
} from '../nn/parameters.ts';
import { parameterShapes } from '../nn/shapes.ts';
import type { Definition, Loaded, LoadOptions, Model, Opened, Types } from './definition.ts';
import { definitionNamed, definitions } from './registry.ts';
import { tokenizerFromSource } from './text/from-files.ts';
import { tokenizerFiles, type Tokenizer } from './text/tokenizer.ts';

export const CONFIG = 'config.json';
export { WEIGHTS };
/** Prefix of the encoder's tensors in a checkpoint. */
const ENCODER = 'encoder.';

async function neededJson(source: Source, name: string, what: string): Promise<Json> {
  const path = `${what}/${name}`;
  return parseObject(decodeUtf8(await needed(source, name, path), path), path);
}

/**
 * Opens a checkpoint: of any model, or of `expected` alone.
 * @param what names the source in errors: a folder
 * @throws InputError naming the file that is missing or malformed, and the key
 */
export async function openCheckpoint<T extends Types = Types>(
  source: Source,
  what: string,
  expected?: Definition<T>,
): Promise<Opened<T>> {
  const json = await neededJson(source, CONFIG, what);
  const path = `${what}/${CONFIG}`;
  const names = (expected ? [expected] : definitions).map(({ name }) => name);
  const name = new Fields(json, path).oneOf('model', names);
  const definition = (expected ?? definitionNamed(name)) as Definition<T>;
  const config = definition.parseConfig(json, path);
  const { extra: file } = definition;
  const extraPath = `${what}/${file?.file}`;
  const bytes = file && (await ifAny(source, file.file, extraPath));
  const extra =
    file && bytes ? file.parse(parseObject(decodeUtf8(bytes, extraPath), extraPath), extraPath) : undefined;
  return {
    ...{ definition, config, extra, what },
    async load(runtime, options = {}) {
      const { precision } = checkedLoad(options);
      const tokenizer = await tokenizerFromSource(source, (file) => `${what}/${file}`);
      const { tensors, notes } = checkpointTensors(await tensorsOf(source, WEIGHTS, `${what}/${WEIGHTS}`));
      const values = new FileSource(tensors, `${what}/${WEIGHTS}`);
      const pooler = hasPooler(tensors, ENCODER);
      const model = definition.build(new Parameters(runtime, values, precision), config, { pooler });
      place(model, values);
      return { model, tokenizer, extra, what, notes };
    },
  };
}

/** What a model is loaded with. Errors: InputError for what is no object, or has a key that there is not. */
function checkedLoad(options: LoadOptions): LoadOptions {
  if (!isObject(options))
    throw new InputError(`loadModel: options must be an object, got ${JSON.stringify(options)}`);
  const unknown = Object.keys(options).find((key) => key !== 'precision');
  if (unknown !== undefined)
    throw new InputError(`loadModel: there is no option "${unknown}" (there is: precision)`);
  return options;
}

/** A checkpoint's tensors with the encoder's names mapped as in a Hugging Face file. */
function checkpointTensors(all: ReadonlyMap<string, HostTensor>): ReturnType<typeof mapBertNames> {
  const encoder = new Map<string, HostTensor>();
  const rest = new Map<string, HostTensor>();
  for (const [name, tensor] of all)
    if (name.startsWith(ENCODER)) encoder.set(name.slice(ENCODER.length), tensor);
    else rest.set(name, tensor);
  const { tensors, notes } = mapBertNames(encoder, ENCODER);
  return { tensors: new Map([...tensors, ...rest]), notes };
}

/** Puts a model on the device. Errors: those of the file's tensors that are not the model's; it is freed then. */
function place({ parameters }: Pick<Model, 'parameters'>, file?: FileSource): void {
  try {
    file?.finish();
    parameters.place();
  } catch (error) {
    parameters.release();
    throw error;
  }
}

/** The config, tokenizer and weights of a Hugging Face encoder folder. */
export interface PretrainedEncoder {
  json: Json;
  tokenizer: Tokenizer;
  tensors: Map<string, HostTensor>;
  notes: string[];
  path: string;
}

/**
 * Reads the files of an encoder: BERT or one of its kin, see `parseBertConfig`. Tensors that are not the encoder's are not
 * read, and noted. Errors: InputError naming the file.
 */
export async function readEncoder(source: Source, what: string): Promise<PretrainedEncoder> {
  const json = await neededJson(source, CONFIG, what);
  parseBertConfig(json, `${what}/${CONFIG}`);
  let names: readonly string[] = [];
  const { tensors, path } = await readWeights(source, what, (all) => selectEncoder((names = all)));
  return {
    ...{ json, path },
    tensors: mapBertNames(tensors, ENCODER).tensors,
    notes: skippedNotes(names),
    tokenizer: await tokenizerFromSource(source, (file) => `${what}/${file}`),
  };
}

/** Most parameters of a new model, 8 GiB: before a training holds them four times, no device would. */
const MOST_PARAMETERS = 2 ** 31;

/** Errors: a model that could not be trained anywhere; nothing has been allocated then. */
function checkCount(build: (parameters: Parameters) => unknown): void {
  let count = 0;
  for (const shape of parameterShapes(build).values()) count += sizeOf(shape);
  if (count > MOST_PARAMETERS)
    throw new InputError(
      `the configuration makes a model of ${count} parameters, over ${MOST_PARAMETERS}: see "num_hidden_layers", "hidden_size" and "vocab_size"`,
    );
}

/**
 * A new model: random weights, or an encoder's where there is one and random ones beside it.
 * @param recipe says what else a new model starts from; its seed is that of the weights
 * @param random gives the random ones
 * @param precision as `Parameters` takes it
 */
export function newModel<T extends Types>(
  runtime: Runtime,
  definition: Definition<T>,
  config: T['model']['config'],
  recipe: T['recipe'],
  encoder?: PretrainedEncoder,
  random: ValueSource = randomSource(recipe.seed),
  precision?: StoredPrecision,
): T['model'] {
  const file = encoder && new FileSource(encoder.tensors, encoder.path);
  const source: ValueSource = {
    values: (name, shape, init, index) =>
      file && name.startsWith(ENCODER) ? file.values(name, shape) : random.values(name, shape, init, index),
  };
  const pooler = encoder !== undefined && hasPooler(encoder.tensors, ENCODER);
  const build = (parameters: Parameters) => definition.build(parameters, config, { pooler, recipe });
  checkCount(build);
  const model = build(new Parameters(runtime, source, precision));
  place(model, file);
  return model;
}

const jsonText = (json: Json): string => `${JSON.stringify(json, null, 2)}\n`;

/** The text of a checkpoint's `config.json`. */
export const configFile = (model: string, config: { readonly encoder: BertConfig }): string =>
  jsonText(configJson(model, config));

/** The files of a checkpoint, by name. */
export async function checkpointFiles<T extends Types>(
  definition: Definition<T>,
  { model, tokenizer, extra }: Pick<Loaded<T>, 'model' | 'tokenizer' | 'extra'>,
): Promise<Record<string, FileContent>> {
  const { extra: file } = definition;
  return {
    [CONFIG]: configFile(definition.name, model.config),
    [WEIGHTS]: serializeSafetensorsPieces(await model.parameters.read()),
    ...tokenizerFiles(tokenizer),
    ...(file && extra ? { [file.file]: jsonText(file.json(extra)) } : {}),
  };
}
