import { InputError } from '../../../kernels/errors.ts';
import { parseObject } from '../../io/json.ts';
import { ifAny, type Source } from '../../io/source.ts';
import { decodeUtf8 } from '../../io/utf8.ts';
import { createAlignedTokenizer, type JsonObject } from './aligned-tokenizer.ts';
import { sentencePieceDefinition } from './sentencepiece.ts';
import type { Tokenizer } from './tokenizer.ts';
import { CONTINUATION, MAX_WORD_LENGTH, UNK, createWordPieceTokenizer } from './wordpiece.ts';

export const VOCAB_FILE = 'vocab.txt';
export const DEFINITION_FILE = 'tokenizer.json';
export const CONFIG_FILE = 'tokenizer_config.json';
export const SENTENCEPIECE_FILE = 'spiece.model';

/**
 * The tokenizer of a model folder from the text of its files: `vocab.txt`, else `tokenizer.json`, with
 * `tokenizer_config.json` where there is one (docs/spec.md#text). A WordPiece `tokenizer.json` is read into
 * our own WordPiece, any other goes through `@huggingface/tokenizers`. `do_lower_case` and `strip_accents` of
 * `tokenizer_config.json` win over the normaliser of `tokenizer.json`; with neither, case is kept. `pathOf` gives the
 * name of a file in errors. Throws `InputError`, naming the file, for one that is absent, malformed, or asks for what is not
 * supported.
 */
export function tokenizerFromFiles(
  files: Readonly<Record<string, string>>,
  pathOf: (file: string) => string = (file) => file,
): Tokenizer {
  const configName = pathOf(CONFIG_FILE);
  const config = files[CONFIG_FILE] === undefined ? {} : parseObject(files[CONFIG_FILE], configName);
  const vocab = files[VOCAB_FILE];
  if (vocab !== undefined) {
    return createWordPieceTokenizer({
      vocab: vocabEntries(vocab),
      what: pathOf(VOCAB_FILE),
      ...casing(config, configName, false),
    });
  }
  const text = files[DEFINITION_FILE];
  if (text === undefined)
    throw new InputError(
      `${pathOf(VOCAB_FILE)}: no such file, nor a ${DEFINITION_FILE} or ${SENTENCEPIECE_FILE}`,
    );
  const what = pathOf(DEFINITION_FILE);
  const definition = parseObject(text, what);
  const model = objectAt(definition, 'model', what);
  if (isWordPiece(model)) return wordPieceOf(definition, model, config, configName, what);
  const sources = {
    [DEFINITION_FILE]: text,
    ...(files[CONFIG_FILE] && { [CONFIG_FILE]: files[CONFIG_FILE] }),
  };
  return createAlignedTokenizer(definition, config, sources, what);
}

/**
 * The tokenizer of a model from any source of files; a `spiece.model` is read where there is no other vocabulary.
 * Errors: as `tokenizerFromFiles` and `ifAny`.
 * @param pathOf names a file in errors
 */
export async function tokenizerFromSource(
  source: Source,
  pathOf: (file: string) => string,
): Promise<Tokenizer> {
  const bytes = (file: string) => ifAny(source, file, pathOf(file));
  const files: Record<string, string> = {};
  for (const file of [VOCAB_FILE, DEFINITION_FILE, CONFIG_FILE]) {
    const found = await bytes(file);
    if (found) files[file] = decodeUtf8(found, pathOf(file));
  }
  const model = VOCAB_FILE in files || DEFINITION_FILE in files ? undefined : await bytes(SENTENCEPIECE_FILE);
  if (!model) return tokenizerFromFiles(files, pathOf);
  files[DEFINITION_FILE] = definitionOfSentencePiece(model, files[CONFIG_FILE], pathOf);
  return tokenizerFromFiles(files, (file) => pathOf(file === DEFINITION_FILE ? SENTENCEPIECE_FILE : file));
}

/**
 * The text of a `tokenizer.json` for a SentencePiece model with the `tokenizer_config.json` beside it: `do_lower_case`
 * (false without it) and `keep_accents` (without it they go with lower case, docs/spec.md#text). Throws `InputError`,
 * naming the file.
 */
function definitionOfSentencePiece(
  model: Uint8Array,
  configText: string | undefined,
  pathOf: (file: string) => string,
): string {
  const configName = pathOf(CONFIG_FILE);
  const config = configText === undefined ? {} : parseObject(configText, configName);
  const doLowerCase = optionalBoolean(config, 'do_lower_case', configName) ?? false;
  const keepAccents = optionalBoolean(config, 'keep_accents', configName) ?? !doLowerCase;
  const what = pathOf(SENTENCEPIECE_FILE);
  return JSON.stringify(sentencePieceDefinition(model, { doLowerCase, keepAccents }, what));
}

/** The entries of a `vocab.txt`: lines end in \n alone (one entry is U+2028), and a final empty line is not one. */
export function vocabEntries(text: string): string[] {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

/** Old files give the model no `type`; a vocabulary by name without merges is then WordPiece. */
function isWordPiece(model: JsonObject): boolean {
  if (model.type !== undefined) return model.type === 'WordPiece';
  return isObject(model.vocab) && model.merges === undefined;
}

function wordPieceOf(
  definition: JsonObject,
  model: JsonObject,
  config: JsonObject,
  configName: string,
  what: string,
): Tokenizer {
  const normalizer = objectAt(definition, 'normalizer', what);
  const preTokenizer = objectAt(definition, 'pre_tokenizer', what);
  expect(normalizer, 'type', 'BertNormalizer', `${what}, normalizer`);
  expect(normalizer, 'clean_text', true, `${what}, normalizer`, true);
  expect(normalizer, 'handle_chinese_chars', true, `${what}, normalizer`, true);
  expect(preTokenizer, 'type', 'BertPreTokenizer', `${what}, pre_tokenizer`);
  expect(model, 'unk_token', UNK, `${what}, model`);
  expect(model, 'continuing_subword_prefix', CONTINUATION, `${what}, model`, CONTINUATION);
  expect(model, 'max_input_chars_per_word', MAX_WORD_LENGTH, `${what}, model`, MAX_WORD_LENGTH);

  const vocab = new Map<string, number>();
  for (const [entry, id] of Object.entries(objectAt(model, 'vocab', what)))
    vocab.set(entry, numberOf(id, entry, what));
  const added = definition.added_tokens ?? [];
  if (!Array.isArray(added)) throw new InputError(`${what}: added_tokens is not a list`);
  added.forEach((token: unknown, i) => {
    if (!isObject(token) || typeof token.content !== 'string') {
      throw new InputError(`${what}: added_tokens[${i}] has no content`);
    }
    const id = numberOf(token.id, token.content, what);
    const earlier = vocab.get(token.content);
    if (earlier !== undefined && earlier !== id) {
      throw new InputError(`${what}: ${JSON.stringify(token.content)} has the ids ${earlier} and ${id}`);
    }
    vocab.set(token.content, id);
  });
  const lowercase = optionalBoolean(normalizer, 'lowercase', `${what}, normalizer`) ?? false;
  const stripAccents = optionalBoolean(normalizer, 'strip_accents', `${what}, normalizer`);
  return createWordPieceTokenizer({ vocab, what, ...casing(config, configName, lowercase, stripAccents) });
}

function casing(config: JsonObject, configName: string, lowercase: boolean, stripAccents?: boolean) {
  expect(config, 'tokenize_chinese_chars', true, configName, true);
  expect(config, 'do_basic_tokenize', true, configName, true);
  return {
    doLowerCase: optionalBoolean(config, 'do_lower_case', configName) ?? lowercase,
    stripAccents: optionalBoolean(config, 'strip_accents', configName) ?? stripAccents,
  };
}

/** Refuses a setting that we do not follow, rather than tokenise otherwise than the file asks. */
function expect(object: JsonObject, key: string, wanted: unknown, what: string, absent?: unknown): void {
  const value = object[key] ?? absent;
  if (value === wanted) return;
  throw new InputError(
    `${what}: ${key} is ${JSON.stringify(value) ?? 'missing'}; only ${JSON.stringify(wanted)} is supported`,
  );
}

function optionalBoolean(object: JsonObject, key: string, what: string): boolean | undefined {
  const value = object[key] ?? undefined;
  if (value === undefined || typeof value === 'boolean') return value;
  throw new InputError(`${what}: ${key} is ${JSON.stringify(value)}, not true or false`);
}

function numberOf(id: unknown, entry: string, what: string): number {
  if (typeof id === 'number') return id;
  throw new InputError(`${what}: the id of ${JSON.stringify(entry)} is not a number`);
}

function objectAt(object: JsonObject, key: string, what: string): JsonObject {
  const value = object[key];
  if (isObject(value)) return value;
  throw new InputError(`${what}: ${key} is not an object`);
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
