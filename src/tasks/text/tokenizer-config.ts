/** What a model folder says of its tokenizer besides the vocabulary: class, casing, special tokens, added tokens. */
import { InputError } from '../../../kernels/errors.ts';
import { isObject, parseObject, type Json } from '../../io/json.ts';

export const CONFIG_FILE = 'tokenizer_config.json';
export const SPECIALS_FILE = 'special_tokens_map.json';
export const ADDED_FILE = 'added_tokens.json';

/** Ids that a vocabulary may leave out: models reserve some. */
export const SPARE_IDS = 2 ** 16;

/** What the special tokens are called, BERT's and ALBERT's names first, then RoBERTa's; a config may name others. */
const defaultNames = {
  pad: ['[PAD]', '<pad>'],
  unk: ['[UNK]', '<unk>'],
  cls: ['[CLS]', '<s>'],
  sep: ['[SEP]', '</s>'],
  mask: ['[MASK]', '<mask>'],
};

export type Role = keyof typeof defaultNames;
export const roles = Object.keys(defaultNames) as Role[];

/** The kinds of vocabulary that are followed. */
export type Kind = 'wordpiece' | 'byte-level' | 'sentencepiece' | 'xlm-roberta';

/** Hugging Face's classes that are followed without a `tokenizer.json`; `…Fast` is the same. */
const classes: Readonly<Record<string, Kind>> = {
  BertTokenizer: 'wordpiece',
  DistilBertTokenizer: 'wordpiece',
  ElectraTokenizer: 'wordpiece',
  AlbertTokenizer: 'sentencepiece',
  RobertaTokenizer: 'byte-level',
  XLMRobertaTokenizer: 'xlm-roberta',
};

/** A token that stands beside the vocabulary. */
export interface AddedToken {
  content: string;
  id: number;
  /** One that no text holds. */
  special: boolean;
}

/** The settings of a tokenizer, out of the three files that may hold them. */
export class TokenizerConfig {
  readonly json: Json;
  readonly added: readonly AddedToken[];
  readonly #specials: Json;

  /**
   * @param files texts by name
   * @param pathOf names a file in errors
   * @throws InputError naming the file that is malformed, and what in it
   */
  constructor(
    files: Readonly<Record<string, string>>,
    readonly pathOf: (file: string) => string,
  ) {
    const read = (file: string): Json =>
      files[file] === undefined ? {} : parseObject(files[file], pathOf(file));
    this.json = read(CONFIG_FILE);
    this.#specials = read(SPECIALS_FILE);
    this.added = this.#readAdded(read(ADDED_FILE));
  }

  /** The kind that the class asks for; undefined where no class is named, or one that is not followed. */
  get kind(): Kind | undefined {
    return classes[this.#class.replace(/Fast$/, '')];
  }

  /**
   * Fails where the class, or what it splits words with, is not followed: the text would come apart otherwise than it
   * did when the encoder was trained.
   */
  checkClass(): void {
    const name = this.#class;
    if (name !== '' && !this.kind && name !== 'PreTrainedTokenizerFast')
      throw this.#notFollowed('tokenizer_class', `is ${name}`, Object.keys(classes).join(', '));
    for (const [key, only] of [
      ['word_tokenizer_type', 'basic'],
      ['subword_tokenizer_type', 'wordpiece'],
    ] as const) {
      const value = this.json[key] ?? only;
      if (value !== only) throw this.#notFollowed(key, `is ${JSON.stringify(value)}`, only);
    }
  }

  #notFollowed(key: string, is: string, followed: string): InputError {
    return new InputError(
      `${this.pathOf(CONFIG_FILE)}: ${key} ${is}, which is not followed (${followed}); give the folder a tokenizer.json`,
    );
  }

  get #class(): string {
    const name = this.json.tokenizer_class;
    return typeof name === 'string' ? name : '';
  }

  /** A setting that is true or false; undefined where the file is silent. */
  boolean(key: string): boolean | undefined {
    const value = this.json[key] ?? undefined;
    if (value === undefined || typeof value === 'boolean') return value;
    throw new InputError(
      `${this.pathOf(CONFIG_FILE)}: ${key} is ${JSON.stringify(value)}, not true or false`,
    );
  }

  /** What a special token may be called, the name that the configuration gives first: then it is that alone. */
  names(role: Role): readonly string[] {
    for (const json of [this.json, this.#specials]) {
      const value = json[`${role}_token`];
      const name = isObject(value) ? value.content : value;
      if (typeof name === 'string') return [name];
    }
    return defaultNames[role];
  }

  /** `added_tokens_decoder` of the configuration, and what `added_tokens.json` has beside it. */
  #readAdded(file: Json): AddedToken[] {
    const decoder = this.json.added_tokens_decoder ?? {};
    if (!isObject(decoder))
      throw new InputError(`${this.pathOf(CONFIG_FILE)}: added_tokens_decoder is not an object`);
    const special = new Set(roles.flatMap((role) => this.names(role)));
    const added = Object.entries(decoder).map(([id, token]): AddedToken => {
      if (isObject(token) && typeof token.content === 'string')
        return { content: token.content, id: Number(id), special: token.special === true };
      throw new InputError(`${this.pathOf(CONFIG_FILE)}: added_tokens_decoder has no content for ${id}`);
    });
    const known = new Set(added.map(({ content }) => content));
    for (const [content, id] of Object.entries(file)) {
      if (typeof id !== 'number')
        throw new InputError(
          `${this.pathOf(ADDED_FILE)}: the id of ${JSON.stringify(content)} is not a number`,
        );
      if (!known.has(content)) added.push({ content, id, special: special.has(content) });
    }
    return added;
  }
}
