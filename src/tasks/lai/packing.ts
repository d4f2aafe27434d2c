/**
 * LAI-Net's instances (docs/spec.md#instances): a sentence, the labels' annotations and the markers of a run of
 * candidates in one sequence of tokens, padded to a batch with the rows that the model gathers.
 */
import { InputError } from '../../../kernels/errors.ts';
import { kinds, labelsOf, type LaiBatch, type LaiConfig } from '../../models/lai-config.ts';
import type { Entity } from '../dataset.ts';
import { encodeSentence, type EncodedSentence } from '../spans/batch.ts';
import { enumerateSpans } from '../spans/enumerate.ts';
import type { Tokenizer } from '../text/tokenizer.ts';

export type Span = Pick<Entity, 'start' | 'end'>;

/**
 * A run of the candidates of a sentence. The rows of a sentence are all its candidates in enumeration order (entities),
 * or all ordered pairs of distinct entities, by subject (relations).
 */
export interface Instance {
  /** The sentence's index in the caller's list. */
  sentence: number;
  encoded: EncodedSentence;
  /** The first candidate's row among those of the sentence. */
  row: number;
  /** i32[C, 2] = (start, end) of the candidates, in words. */
  spans: Int32Array;
  /** The relations stage's. */
  subject?: Span;
}

export class Packer {
  readonly config: LaiConfig;
  readonly tokenizer: Tokenizer;
  /** Pieces of every label's phrase, and the second [SEP]; nothing with `annotate` false. */
  readonly #annotation: number[] = [];
  /** i32[T, 2] first and last piece of each phrase, in `#annotation`. */
  readonly #labels: number[] = [];
  /** Ids of the markers around a candidate, and of those around a subject: none in the entities stage. */
  readonly #levitated: number[];
  readonly #solid: number[] = [];
  /** Positions that a text leaves to annotations and solid markers. */
  readonly taken: number;

  /** Errors: InputError for a marker, or a piece of an annotation, that the encoder has no embedding for. */
  constructor(config: LaiConfig, tokenizer: Tokenizer) {
    this.config = config;
    this.tokenizer = tokenizer;
    const { annotate, annotations, encoder, markers } = config;
    const known = (id: number | undefined, what: string): number => {
      if (id !== undefined && id < encoder.vocabSize) return id;
      throw new InputError(`${what} is not in the vocabulary`);
    };
    const id = (name: keyof LaiConfig['markers']): number =>
      known(tokenizer.idOf(markers[name]), `markers.${name}: token ${JSON.stringify(markers[name])}`);
    this.#levitated = [id('start'), id('end')];
    if (config.stage === 'relations') this.#solid = [id('subjectStart'), id('subjectEnd')];
    for (const label of annotate ? labelsOf(config) : []) {
      const phrase = Object.hasOwn(annotations, label) ? annotations[label] : label;
      const [pieces] = tokenizer.encodeWords([phrase]);
      this.#labels.push(this.#annotation.length, this.#annotation.length + pieces.length - 1);
      for (const piece of pieces)
        this.#annotation.push(known(piece.id, `a piece of the annotation ${JSON.stringify(phrase)}`));
    }
    if (annotate) this.#annotation.push(tokenizer.sepId);
    this.taken = this.#annotation.length + this.#solid.length;
  }

  /** Errors: InputError that begins with `what` for a sentence that does not fit. */
  encode(tokens: readonly string[], what: string): EncodedSentence {
    return encodeSentence(tokens, this.tokenizer, this.config.encoder, what, this.taken);
  }

  /**
   * The instances of a sentence, by row.
   * @param entities the relations stage's subjects and objects, in list order; without two of them it has none
   */
  instances(sentence: number, encoded: EncodedSentence, entities: readonly Span[]): Instance[] {
    const { stage, maxSpanWidth, maxCandidates } = this.config;
    const runs = (row: number, spans: Int32Array, subject?: Span): Instance[] =>
      Array.from({ length: Math.ceil(spans.length / 2 / maxCandidates) }, (_, run) => {
        const first = run * maxCandidates;
        const part = spans.slice(2 * first, 2 * (first + maxCandidates));
        return { sentence, encoded, row: row + first, spans: part, subject };
      });
    const all = enumerateSpans([encoded.words.length / 2], maxSpanWidth);
    if (stage === 'entities')
      return runs(
        0,
        all.filter((_, i) => i % 3 > 0),
      );
    return entities.flatMap((subject, s) => {
      const others = entities.flatMap(({ start, end }, o) => (o === s ? [] : [start, end]));
      return runs(s * (entities.length - 1), Int32Array.from(others), subject);
    });
  }

  /** Instances, at least one, as the model takes them. */
  batch(instances: readonly Instance[]): LaiBatch {
    const annotated = this.#annotation.length;
    const solid = instances.map(({ encoded }) => encoded.ids.length + this.#solid.length);
    const counts = Int32Array.from(instances, ({ spans }) => spans.length / 2);
    const lengths = counts.map((count, b) => solid[b] + annotated + 2 * count);
    const [rows, length, columns] = [instances.length, Math.max(...lengths), Math.max(...counts)];
    const tokens = (fill: number): Int32Array => new Int32Array(rows * length).fill(fill);
    const [ids, positions, kindOf, groups] = [this.tokenizer.padId, 0, kinds.text, -1].map(tokens);
    /** i32[B, width], everywhere the instance's first row. */
    const table = (width: number): Int32Array =>
      Int32Array.from({ length: rows * width }, (_, i) => Math.floor(i / width) * length);
    const [candidates, labels, subjects] = [4 * columns, this.#labels.length, 4].map(table);

    instances.forEach(({ encoded: { ids: text, words }, spans, subject }, b) => {
      const at = b * length;
      const pieces = (start: number, end: number): number[] => [words[2 * start], words[2 * end - 1] - 1];
      const [first, last] = subject ? pieces(subject.start, subject.end) : [Infinity, Infinity];
      /** A row of the text with the solid markers in it. */
      const moved = (row: number): number => row + Number(row >= first) + Number(row > last);
      text.forEach((id, row) => (ids[at + moved(row)] = id));
      if (subject) {
        const own = [moved(first), moved(last), first, last + 2].map((row) => at + row);
        subjects.set(own, 4 * b);
        [ids[own[2]], ids[own[3]]] = this.#solid;
      }
      const annotation = at + solid[b];
      const markers = annotation + annotated;
      ids.set(this.#annotation, annotation);
      for (let row = at; row < markers; row++) positions[row] = row - at;
      kindOf.fill(kinds.annotation, annotation, markers).fill(kinds.marker, markers, at + lengths[b]);
      this.#labels.forEach((row, i) => (labels[b * this.#labels.length + i] = annotation + row));
      for (let c = 0; c < counts[b]; c++) {
        const ends = pieces(spans[2 * c], spans[2 * c + 1]).map(moved);
        const own = [markers + c, markers + counts[b] + c];
        candidates.set([...ends.map((row) => at + row), ...own], 4 * (b * columns + c));
        own.forEach((row, side) => {
          ids[row] = this.#levitated[side];
          positions[row] = ends[side];
          groups[row] = c;
        });
      }
    });
    return {
      ...{ pieces: { ids, positions, lengths, rows, columns: length }, kinds: kindOf, groups },
      ...{ candidates, counts, columns, labels },
      ...(instances[0].subject && { subjects }),
    };
  }
}
