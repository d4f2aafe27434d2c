/** The answers of a trained CEREM to many prompted texts. */
import { InputError } from '../../../kernels/errors.ts';
import { sigmoid } from '../../../kernels/shared/host-math.ts';
import type { Cerem } from '../../models/cerem.ts';
import { assemble, makePromptBatch, type EncodedText, type PieceSource, type PromptedText } from './batch.ts';
import { characterAnswer, decodePointers, type Answer, type PieceAnswer } from './pointers.ts';
import { DEFAULT_OVERLAP, mergeAnswers, textWindows } from './windows.ts';

/** What to look for in which text. */
export type Question = Pick<PromptedText, 'prompt' | 'text'>;

export interface PredictOptions {
  /** Inputs at once; 16 when absent. */
  batchSize?: number;
  /** Pieces that the windows of a long text share; see `textWindows`. */
  overlap?: number;
  /** τ, in place of the model's. */
  threshold?: number;
  /** Keeps the probabilities of every input, so that it goes through the model once whatever the thresholds. */
  seen?: SeenInputs;
  /** Called with the number of inputs done: texts with their prompts, each window of a long text for itself. */
  progress?: (done: number, total: number) => void;
}

/** The probabilities of the starts and ends of an input's pieces. */
type Pointers = [starts: Float64Array, ends: Float64Array];
/** By prompt and pieces of the text. */
export type SeenInputs = Map<string, Pointers>;

/** What a prediction took. */
export interface Effort {
  /** Questions. */
  prompts: number;
  /** Batches that went through the model. */
  forwardPasses: number;
}

export interface Answers extends Effort {
  /** Of each question, sorted by start, then end. */
  answers: Answer[][];
}

/**
 * Answers every question, in the order given, whatever the batching (inputs of like length go together). One wait for
 * the device a batch. A text that does not fit with its prompt is read in windows; a text without a piece has no answer.
 * @param tokenizer give `cachedPieces(…)` where several questions are about one text
 * @param what names question i in errors
 * @throws InputError for options that are no counts, a prompt that leaves no room for the text, what `assemble` refuses,
 *   and a model whose logits are NaN
 */
export async function predictAnswers(
  model: Cerem,
  tokenizer: PieceSource,
  questions: readonly Question[],
  what: (i: number) => string,
  options: PredictOptions = {},
): Promise<Answers> {
  const { batchSize = 16, overlap = DEFAULT_OVERLAP, threshold = model.config.threshold, seen } = options;
  if (!Number.isInteger(batchSize) || batchSize < 1)
    throw new InputError(`predict: batchSize must be an integer of at least 1, it is ${batchSize}`);
  const { maxLength } = model.config;
  const windows = questions.map(({ prompt, text }, i) => {
    const pieces = tokenizer.encode(text);
    const cut = textWindows(pieces, tokenizer.encode(prompt).length, maxLength, overlap, what(i));
    return pieces.length === 0 ? [] : cut;
  });
  const found = windows.map((list) => list.map((): PieceAnswer[] => []));

  const inputs = windows.flatMap((list, question) =>
    list.map(({ from, to }, window) => ({
      question,
      window,
      length: tokenizer.encode(questions[question].prompt).length + to - from,
    })),
  );
  inputs.sort((a, b) => a.length - b.length || a.question - b.question || a.window - b.window);
  type Input = (typeof inputs)[number];
  const nameOf = ({ question, window }: Input): string => {
    const { prompt, text } = questions[question];
    const { from, to } = windows[question][window];
    return JSON.stringify([prompt, from, to, text]);
  };
  const take = ({ question, window }: Input, [starts, ends]: Pointers): void => {
    const { from } = windows[question][window];
    const answers = decodePointers(starts, ends, threshold);
    found[question][window] = answers.map((a) => ({ ...a, first: a.first + from, last: a.last + from }));
  };
  const unseen = inputs.filter((input) => {
    const pointers = seen?.get(nameOf(input));
    if (pointers) take(input, pointers);
    return !pointers;
  });
  let forwardPasses = 0;
  for (let at = 0; at < unseen.length; at += batchSize) {
    const chosen = unseen.slice(at, at + batchSize);
    const encoded = chosen.map(({ question, window }) => {
      const { prompt, text } = questions[question];
      const { from, to } = windows[question][window];
      const pieces = tokenizer.encode(text).slice(from, to);
      return assemble(tokenizer.encode(prompt), pieces, tokenizer, model.config, what(question));
    });
    (await pointBatch(model, encoded, tokenizer.padId)).forEach((pointers, row) => {
      take(chosen[row], pointers);
      seen?.set(nameOf(chosen[row]), pointers);
    });
    forwardPasses++;
    options.progress?.(Math.min(at + batchSize, unseen.length), unseen.length);
  }

  const answers = questions.map(({ text }, i) => {
    const pieces = tokenizer.encode(text);
    return mergeAnswers(windows[i], found[i], pieces.length)
      .map((answer) => characterAnswer(answer, pieces))
      .sort((a, b) => a.start - b.start || a.end - b.end);
  });
  return { answers, prompts: questions.length, forwardPasses };
}

/** The probabilities of each row of a batch, of the text's pieces that the row holds. */
function pointBatch(model: Cerem, rows: readonly EncodedText[], padId: number): Promise<Pointers[]> {
  const { runtime } = model.parameters;
  return runtime.scope(async () => {
    const batch = makePromptBatch(rows, padId);
    const logits = model.forward(batch);
    const [starts, ends] = await runtime.readAll([logits.start, logits.end]);
    return rows.map(({ textStart, pieces }, b) => {
      const first = b * batch.columns + textStart;
      const probabilities = (of: ArrayLike<number>): Float64Array => {
        const row = Float64Array.from(pieces, (_, i) => sigmoid(of[first + i]));
        // Without this, weights that are no numbers would look like a text without answers.
        if (row.some(Number.isNaN))
          throw new InputError('the model: logits are NaN, its weights are damaged');
        return row;
      };
      return [probabilities(starts), probabilities(ends)];
    });
  });
}
