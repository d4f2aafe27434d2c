import { InputError } from '../../../kernels/errors.ts';
import { isObject, parseObject, type Json } from '../../io/json.ts';
import { fileOf, type Source } from '../../io/source.ts';
import { decodeUtf8 } from '../../io/utf8.ts';
import { addedTokens, createAlignedTokenizer } from './aligned-tokenizer.ts';
import { byteLevelDefinition } from './byte-level.ts';
import { sentencePieceDefinition, type Casing } from './sentencepiece.ts';
import {
  ADDED_FILE,
  CONFIG_FILE,
  SPECIALS_FILE,
  TokenizerConfig,
  roles,
  type Kind,
} from './tokenizer-config.ts';
import type { Tokenizer } from './tokenizer.ts';
import { CONTINUATION, MAX_WORD_LENGTH, UNK, createWordPieceTokenizer } from './wordpiece.ts';

export const VOCAB_FILE = 'vocab.txt';
export const DEFINITION_FILE = 'tokenizer.json';
export const SENTENCEPIECE_FILE = 'spiece.model';
export const XLM_FILE = 'sentencepiece.bpe.model';
export const BPE_VOCAB_FILE = 'vocab.json';
export const MERGES_FILE = 'merges.txt';
export { CONFIG_FILE };

/** The files of text that a tokenizer may be made of. */
export const TOKENIZER_FILES: readonly string[] = [
  VOCAB_FILE,
  DEFINITION_FILE,
  CONFIG_FILE,
  SPECIALS_FILE,
  ADDED_FILE,
  BPE_VOCAB_FILE,
  MERGES_FILE,
];

/**
 * The tokenizer of a model folder from the text of its files (docs/spec.md#text): `vocab.txt`, else `tokenizer.json`, else
 * `vocab.json` with `merges.txt`; `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json` count where
 * they are there. A WordPiece vocabulary becomes our own WordPiece, any other goes through `@huggingface/tokenizers`.
 * `do_lower_case` and `strip_accents` of `tokenizer_config.json` win over the normaliser of `tokenizer.json`, beside
 * a `vocab.txt` too; with neither, case is kept.
 * @param pathOf names a file in errors
 * @throws InputError naming the file that is absent, malformed, or asks for what is not followed
 */
export function tokenizerFromFiles(
  files: Readonly<Record<string, string>>,
  pathOf: (file: string) => string = (file) => file,
): Tokenizer {
  const config = new TokenizerConfig(files, pathOf);
  const what = pathOf(DEFINITION_FILE);
  const text = files[DEFINITION_FILE];
  const definition = text === undefined ? undefined : parseObject(text, what);
  const model = definition && objectAt(definition, 'model', what);
  const wordPiece = model === undefined || isWordPiece(model);
  if (files[VOCAB_FILE] !== undefined && wordPiece && (config.kind ?? 'wordpiece') === 'wordpiece') {
    if (!definition) config.checkClass();
    const own = settings(config, definition && normaliser(definition, what));
    return createWordPieceTokenizer({
      vocab: vocabEntries(files[VOCAB_FILE]),
      what: pathOf(VOCAB_FILE),
      ...own,
      added: [...(definition ? addedTokens(definition, what) : []), ...own.added],
    });
  }
  if (definition && model) {
    if (wordPiece) return wordPieceOf(definition, model, config, what);
    return createAlignedTokenizer(definition, config, pick(files, [DEFINITION_FILE]), what);
  }
  if (files[BPE_VOCAB_FILE] !== undefined && files[MERGES_FILE] !== undefined) {
    config.checkClass();
    const built = byteLevelDefinition(files[BPE_VOCAB_FILE], files[MERGES_FILE], config);
    return createAlignedTokenizer(
      built,
      config,
      pick(files, [BPE_VOCAB_FILE, MERGES_FILE]),
      pathOf(BPE_VOCAB_FILE),
    );
  }
  config.checkClass();
  throw new InputError(
    `${pathOf(VOCAB_FILE)}: no such file, nor a ${DEFINITION_FILE}, ${SENTENCEPIECE_FILE}, ${XLM_FILE}, or ${BPE_VOCAB_FILE} with ${MERGES_FILE}`,
  );
}

/** Those of the files, and the settings beside them, that are there: what loads the same tokenizer again. */
const pick = (files: Readonly<Record<string, string>>, names: readonly string[]): Record<string, string> =>
  Object.fromEntries(
    [...names, CONFIG_FILE, SPECIALS_FILE, ADDED_FILE].flatMap((name) =>
      files[name] === undefined ? [] : [[name, files[name]]],
    ),
  );

/**
 * The tokenizer of a model from any source of files; a SentencePiece model is read where there is no other vocabulary.
 * Errors: as `tokenizerFromFiles` and `fileOf`.
 * @param pathOf names a file in errors
 */
export async function tokenizerFromSource(
  source: Source,
  pathOf: (file: string) => string,
): Promise<Tokenizer> {
  const files: Record<string, string> = {};
  for (const file of TOKENIZER_FILES) {
    const found = await fileOf(source, file, pathOf(file));
    if (found) files[file] = decodeUtf8(found, pathOf(file));
  }
  if (!(VOCAB_FILE in files || DEFINITION_FILE in files || MERGES_FILE in files))
    for (const name of [SENTENCEPIECE_FILE, XLM_FILE]) {
      const model = await fileOf(source, name, pathOf(name));
      if (!model) continue;
      files[DEFINITION_FILE] = definitionOfSentencePiece(model, name, files, pathOf);
      return tokenizerFromFiles(files, (file) => pathOf(file === DEFINITION_FILE ? name : file));
    }
  return tokenizerFromFiles(files, pathOf);
}

/**
 * The text of a `tokenizer.json` for a SentencePiece model with the settings beside it: `do_lower_case` (false without it)
 * and `keep_accents` (without it they go with lower case, docs/spec.md#text). Throws `InputError`, naming the file.
 */
function definitionOfSentencePiece(
  model: Uint8Array,
  name: string,
  files: Readonly<Record<string, string>>,
  pathOf: (file: string) => string,
): string {
  const config = new TokenizerConfig(files, pathOf);
  config.checkClass();
  const kinds: Kind[] = name === XLM_FILE ? ['xlm-roberta'] : ['sentencepiece', 'xlm-roberta'];
  if (config.kind && !kinds.includes(config.kind))
    throw new InputError(
      `${pathOf(CONFIG_FILE)}: tokenizer_class is ${JSON.stringify(config.json.tokenizer_class)}, but the vocabulary is ${name}`,
    );
  const doLowerCase = config.boolean('do_lower_case') ?? false;
  const casing: Casing = { doLowerCase, keepAccents: config.boolean('keep_accents') ?? !doLowerCase };
  const fairseq = name === XLM_FILE || config.kind === 'xlm-roberta';
  return JSON.stringify(sentencePieceDefinition(model, fairseq ? 'xlm-roberta' : casing, pathOf(name)));
}

/**
 * The lines of a file: they end in \n alone (one entry of a vocabulary is U+2028), or, where every one does, in \r\n; a
 * final empty line is not one.
 */
export function vocabEntries(text: string): string[] {
  const lines = text.split('\n');
  const rest = lines.pop();
  const crlf = lines.length > 0 && lines.every((line) => line.endsWith('\r'));
  const ended = crlf ? lines.map((line) => line.slice(0, -1)) : lines;
  return rest === '' || rest === undefined ? ended : [...ended, rest];
}

/** Old files give the model no `type`; a vocabulary by name without merges is then WordPiece. */
function isWordPiece(model: Json): boolean {
  if (model.type !== undefined) return model.type === 'WordPiece';
  return isObject(model.vocab) && model.merges === undefined;
}

/** What a `tokenizer.json` says of case and accents. */
interface Normaliser {
  lowercase: boolean;
  stripAccents?: boolean;
  /** Names the file. */
  what: string;
}

/** The normaliser of a WordPiece `tokenizer.json`. Errors: InputError for one that is not BERT's. */
function normaliser(definition: Json, what: string): Normaliser {
  const normalizer = objectAt(definition, 'normalizer', what);
  const where = `${what}, normalizer`;
  expect(normalizer, 'type', 'BertNormalizer', where);
  expect(normalizer, 'clean_text', true, where, true);
  expect(normalizer, 'handle_chinese_chars', true, where, true);
  return {
    lowercase: optionalBoolean(normalizer, 'lowercase', where) ?? false,
    stripAccents: optionalBoolean(normalizer, 'strip_accents', where),
    what,
  };
}

function wordPieceOf(definition: Json, model: Json, config: TokenizerConfig, what: string): Tokenizer {
  const found = normaliser(definition, what);
  expect(objectAt(definition, 'pre_tokenizer', what), 'type', 'BertPreTokenizer', `${what}, pre_tokenizer`);
  expect(model, 'continuing_subword_prefix', CONTINUATION, `${what}, model`, CONTINUATION);
  expect(model, 'max_input_chars_per_word', MAX_WORD_LENGTH, `${what}, model`, MAX_WORD_LENGTH);

  const vocab = new Map<string, number>();
  for (const [entry, id] of Object.entries(objectAt(model, 'vocab', what)))
    vocab.set(entry, numberOf(id, entry, what));
  const own = settings(config, found);
  if (typeof model.unk_token !== 'string') expect(model, 'unk_token', UNK, `${what}, model`);
  else own.names.unk = model.unk_token;
  return createWordPieceTokenizer({
    ...{ vocab, what, ...own },
    added: [...addedTokens(definition, what), ...own.added],
  });
}

/** What the configuration says of a WordPiece tokenizer: where it is silent on casing, what `tokenizer.json` says. */
function settings(config: TokenizerConfig, found?: Normaliser) {
  const configName = config.pathOf(CONFIG_FILE);
  expect(config.json, 'tokenize_chinese_chars', true, configName, true);
  expect(config.json, 'do_basic_tokenize', true, configName, true);
  const given = config.boolean('do_lower_case');
  const casingFrom = given === undefined ? found?.what : configName;
  return {
    doLowerCase: given ?? found?.lowercase ?? false,
    stripAccents: config.boolean('strip_accents') ?? found?.stripAccents,
    ...(casingFrom === undefined ? {} : { casingFrom }),
    names: Object.fromEntries(roles.map((role) => [role, config.names(role)[0]])) as Record<
      (typeof roles)[number],
      string
    >,
    added: config.added,
  };
}

/** Refuses a setting that we do not follow, rather than tokenise otherwise than the file asks. */
function expect(object: Json, key: string, wanted: unknown, what: string, absent?: unknown): void {
  const value = object[key] ?? absent;
  if (value === wanted) return;
  throw new InputError(
    `${what}: ${key} is ${JSON.stringify(value) ?? 'missing'}; only ${JSON.stringify(wanted)} is supported`,
  );
}

function optionalBoolean(object: Json, key: string, what: string): boolean | undefined {
  const value = object[key] ?? undefined;
  if (value === undefined || typeof value === 'boolean') return value;
  throw new InputError(`${what}: ${key} is ${JSON.stringify(value)}, not true or false`);
}

function numberOf(id: unknown, entry: string, what: string): number {
  if (typeof id === 'number') return id;
  throw new InputError(`${what}: the id of ${JSON.stringify(entry)} is not a number`);
}

function objectAt(object: Json, key: string, what: string): Json {
  const value = object[key];
  if (isObject(value)) return value;
  throw new InputError(`${what}: ${key} is not an object`);
}
