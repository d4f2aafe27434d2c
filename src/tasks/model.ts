/** A trained model of any kind, loaded from anywhere: extraction, evaluation, traces. */
import { InputError } from '../../kernels/errors.ts';
import type { FileContent } from '../io/files.ts';
import type { HostTensor } from '../io/safetensors.ts';
import type { Source } from '../io/source.ts';
import type { Runtime } from '../gpu/runtime.ts';
import { checkpointFiles, openCheckpoint } from './checkpoint.ts';
import type { Corpus, Definition, Loaded, LoadOptions, Opened, Types } from './definition.ts';
import { checkTexts, type Asked, type Extraction } from './extraction.ts';
import type { Tokenizer } from './text/tokenizer.ts';
import { checkValues } from './options.ts';
import { traceModel, traceOptions, type TraceOptions } from './trace.ts';
import { inTurn } from './turns.ts';

/** A model of any kind, whether its weights are loaded or not. */
type Known<T extends Types = Types> = Pick<Opened<T>, 'definition' | 'config' | 'what'>;

/**
 * Errors: InputError for what a model cannot do, alone or with the other models among its options, by their keys. Returns notes
 * on what it hardly should.
 */
export function checkUse<T extends Types>(
  model: Known<T>,
  others: Readonly<Record<string, Known>>,
  command: 'eval' | 'extract',
): readonly string[] {
  const { name, title } = model.definition;
  for (const { definition, what } of Object.values(others))
    if (definition.name !== name)
      throw new InputError(
        `${what}: a model of kind ${definition.title}, where one of kind ${title} is needed`,
      );
  return model.definition.checkOptions?.(model, others, command) ?? [];
}

/**
 * A model that `loadModel` has loaded. Calls may overlap: those on one runtime are done one after the other. It
 * holds device memory until `release()`.
 */
export class LoadedModel<T extends Types = Types> implements Loaded<T> {
  readonly definition: Definition<T>;
  readonly model: T['model'];
  readonly tokenizer: Tokenizer;
  readonly extra: T['extra'];
  readonly what: string;
  /** What the file holds and the model does not need. */
  readonly notes: readonly string[];

  constructor(definition: Definition<T>, loaded: Loaded<T> & { notes?: readonly string[] }) {
    this.definition = definition;
    this.model = loaded.model;
    this.tokenizer = loaded.tokenizer;
    this.extra = loaded.extra;
    this.what = loaded.what;
    this.notes = loaded.notes ?? [];
  }

  get config(): T['model']['config'] {
    return this.model.config;
  }

  /**
   * Entities and relations of a text, or of each of several, with offsets in UTF-16 code units; of one that comes in words
   * (`{ tokens }`), in these. A text that is longer than the model takes is read in windows.
   * @throws InputError for options out of range, and for what the model needs and has not (CEREM: a schema)
   */
  extract(asked: Asked, options?: T['options']): Promise<Extraction>;
  extract(asked: readonly Asked[], options?: T['options']): Promise<Extraction[]>;
  async extract(given: Asked | readonly Asked[], options?: T['options']): Promise<Extraction | Extraction[]> {
    const one = !Array.isArray(given);
    const asked = one ? [given as Asked] : (given as readonly Asked[]);
    const what = (i: number): string => `text ${i + 1}`;
    checkTexts(asked, what);
    this.#check(options, 'extract');
    const { results } = await this.#inTurn(() => this.definition.extract(this, asked, what, options));
    return one ? results[0] : results;
  }

  /**
   * The scores on an annotated corpus, or the text of one, from its texts alone.
   * @throws InputError naming row and field where it cannot be read, or holds labels that the model does not have
   */
  async evaluate(data: T['corpus'] | string, options?: T['options']): Promise<T['evaluation']> {
    this.#check(options, 'eval');
    const { words } = this.model.config;
    if (typeof data !== 'string' && typeof (data as Partial<Corpus> | null)?.file !== 'string')
      throw new InputError('evaluate: takes the text of a corpus, or a corpus as `readCorpus` gives it');
    const corpus = typeof data === 'string' ? this.definition.read(data, 'evaluation data', { words }) : data;
    this.definition.check(corpus, this.model.config, 'scored');
    return this.#inTurn(() => this.definition.evaluate(this, corpus, options));
  }

  /**
   * Every logit, loss and gradient of one batch of all rows, without sampling and dropout; see `traceModel`.
   * @param text of a file of annotated sentences, or CEREM's prompted texts
   */
  async trace(text: string, file: string, options?: TraceOptions): Promise<Map<string, HostTensor>> {
    const unknown = Object.keys(options ?? {}).find((key) => !traceOptions.includes(key));
    if (unknown !== undefined)
      throw new InputError(`trace: there is no option "${unknown}" (there are: ${traceOptions.join(', ')})`);
    const batch = this.definition.traceBatch(this, text, file);
    return this.#inTurn(() => traceModel(this.definition, this.model, batch, options));
  }

  #check(options: T['options'] | undefined, command: 'eval' | 'extract'): void {
    checkValues(this.definition.options, options ?? {});
    const others = Object.entries(options ?? {}).filter(([, value]) => value instanceof LoadedModel);
    for (const [key, other] of others as [string, LoadedModel][])
      if (other.model.parameters.runtime !== this.model.parameters.runtime)
        throw new InputError(`option "${key}": ${other.what} is on another runtime than ${this.what}`);
    checkUse(this, Object.fromEntries(others) as Record<string, LoadedModel>, command);
  }

  #inTurn<R>(work: () => Promise<R>): Promise<R> {
    return inTurn(this.model.parameters.runtime, work);
  }

  /** The files, by name, that make a folder from which the same model loads. */
  files(): Promise<Record<string, FileContent>> {
    return checkpointFiles(this.definition, this);
  }

  /** Frees the weights' device memory. */
  release(): void {
    this.model.parameters.release();
  }
}

/**
 * Loads a model: of any kind, or of `definition` alone.
 * @param source the files of the model's folder by name; see `Source`
 * @param what names the source in errors
 * @throws InputError for what is no definition, or no options; and naming the file that is missing or malformed, and what is wrong with it
 */
export async function loadModel<T extends Types = Types>(
  runtime: Runtime,
  source: Source,
  definition?: Definition<T>,
  options?: LoadOptions,
  what = 'model',
): Promise<LoadedModel<T>> {
  if (definition !== undefined && typeof (definition as Partial<Definition<T>> | null)?.build !== 'function')
    throw new InputError('loadModel: takes a definition after the source, stsn for one, or undefined');
  const opened = await openCheckpoint(source, what, definition);
  return new LoadedModel(opened.definition, await opened.load(runtime, options));
}
