/**
 * LAI-Net's instances (SPEC section 3): a sentence, the labels' annotations and the markers of a run of candidates in
 * one sequence of tokens, and the rows of that sequence that the model gathers.
 */
import { InputError } from '../../../kernels/errors.ts';
import { kinds, labelsOf, type LaiConfig, type Marker } from '../../models/lai-config.ts';
import { enumerateSpans } from '../spans.ts';
import { encodeSentence, type EncodedSentence } from '../stsn/batch.ts';
import type { Tokenizer } from '../text/tokenizer.ts';

/** Words of a sentence, `end` exclusive. */
export interface Span {
  start: number;
  end: number;
}

/**
 * A run of the candidates of a sentence, light until it is packed. The rows of a sentence are all its candidates in
 * enumeration order (entities), or all ordered pairs of distinct entities by subject (relations).
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

/** An instance's tokens and rows, C candidates, T labels. */
export interface Packed {
  ids: Int32Array;
  positions: Int32Array;
  kinds: Int32Array;
  groups: Int32Array;
  /** i32[C, 4]: first and last piece, start and end marker. */
  candidates: Int32Array;
  /** i32[T, 2]: first and last piece of each label's phrase. */
  labels: Int32Array;
  /** i32[4]: first and last piece, the two solid markers. */
  subject: Int32Array | undefined;
}

/** Makes a model's instances. */
export class Packer {
  readonly config: LaiConfig;
  readonly tokenizer: Tokenizer;
  /** Pieces of every label's phrase, and the second [SEP]; nothing with `annotate` false. */
  readonly #annotation: number[] = [];
  /** i32[T, 2] rows of `#annotation`. */
  readonly #labels: Int32Array = new Int32Array(0);
  readonly #markers: Record<Marker, number>;

  /** Errors: InputError for a marker that is not in the vocabulary, for pieces outside the encoder's. */
  constructor(config: LaiConfig, tokenizer: Tokenizer) {
    this.config = config;
    this.tokenizer = tokenizer;
    const { annotate, annotations, markers, stage } = config;
    const { vocabSize } = config.encoder;
    const check = (id: number | undefined, what: string): number => {
      if (id === undefined) throw new InputError(`${what} is not in the vocabulary`);
      if (id < vocabSize) return id;
      throw new InputError(`${what}: piece id ${id} is outside the encoder's vocabulary of ${vocabSize}`);
    };
    const marker = (name: Marker): number =>
      check(tokenizer.idOf(markers[name]), `marker "${name}": token ${JSON.stringify(markers[name])}`);
    this.#markers = {
      start: marker('start'),
      end: marker('end'),
      // The entities stage never writes them: its vocabulary may lack them.
      subjectStart: stage === 'relations' ? marker('subjectStart') : -1,
      subjectEnd: stage === 'relations' ? marker('subjectEnd') : -1,
    };
    if (!annotate) return;
    const phrases = labelsOf(config).map((label) =>
      Object.hasOwn(annotations, label) ? annotations[label] : label,
    );
    this.#labels = Int32Array.from(
      tokenizer.encodeWords(phrases).flatMap((pieces, i) => {
        const ids = pieces.map(({ id }) => check(id, `annotation ${JSON.stringify(phrases[i])}`));
        this.#annotation.push(...ids);
        return [this.#annotation.length - ids.length, this.#annotation.length - 1];
      }),
    );
    this.#annotation.push(tokenizer.sepId);
  }

  /** Most pieces of a text, [CLS] and [SEP] included, that leave the encoder positions for the rest. */
  get room(): number {
    const solid = this.config.stage === 'relations' ? 2 : 0;
    return this.config.encoder.maxPositions - this.#annotation.length - solid;
  }

  /** Errors: InputError that begins with `what` for a sentence that does not fit. */
  encode(tokens: readonly string[], what: string): EncodedSentence {
    const encoded = encodeSentence(tokens, this.tokenizer, this.config, what);
    if (encoded.ids.length <= this.room) return encoded;
    const { maxPositions } = this.config.encoder;
    throw new InputError(
      `${what}: ${tokens.length} words make ${encoded.ids.length} word pieces, which with annotations and markers take ` +
        `${maxPositions + encoded.ids.length - this.room} positions, more than the encoder's ${maxPositions}; split it`,
    );
  }

  /**
   * The instances of a sentence, by row.
   * @param entities the relations stage's subjects and objects, in list order; without two of them it has none
   */
  instances(sentence: number, encoded: EncodedSentence, entities: readonly Span[]): Instance[] {
    const whole = { sentence, encoded };
    if (this.config.stage === 'entities') {
      const rows = enumerateSpans([encoded.words.length / 2], this.config.maxSpanWidth);
      return this.#runs({ ...whole, row: 0, spans: rows.filter((_, i) => i % 3 > 0) });
    }
    return entities.flatMap(({ start, end }, s) => {
      const spans = Int32Array.from(entities.flatMap((e, o) => (o === s ? [] : [e.start, e.end])));
      return this.#runs({ ...whole, row: s * (entities.length - 1), spans, subject: { start, end } });
    });
  }

  /** An instance in runs of at most `maxCandidates`. */
  #runs(all: Instance): Instance[] {
    const { maxCandidates } = this.config;
    return Array.from({ length: Math.ceil(all.spans.length / 2 / maxCandidates) }, (_, i) => ({
      ...all,
      row: all.row + i * maxCandidates,
      spans: all.spans.slice(2 * i * maxCandidates, 2 * (i + 1) * maxCandidates),
    }));
  }

  pack({ encoded, spans, subject }: Instance): Packed {
    const { words } = encoded;
    const text = [...encoded.ids];
    /** First and last piece of words [start, end), as rows of `encoded.ids`. */
    const pieces = (start: number, end: number): [number, number] => [
      words[2 * start],
      words[2 * end - 1] - 1,
    ];
    const [first, last] = subject ? pieces(subject.start, subject.end) : [Infinity, Infinity];
    if (subject) {
      text.splice(last + 1, 0, this.#markers.subjectEnd);
      text.splice(first, 0, this.#markers.subjectStart);
    }
    /** A row of `encoded.ids` among those of `text`. */
    const moved = (row: number): number => row + Number(row >= first) + Number(row > last);

    const solid = text.length + this.#annotation.length;
    const count = spans.length / 2;
    const length = solid + 2 * count;
    const ids = new Int32Array(length)
      .fill(this.#markers.start, solid)
      .fill(this.#markers.end, solid + count);
    ids.set(text);
    ids.set(this.#annotation, text.length);
    const positions = Int32Array.from(ids, (_, i) => i);
    const groups = new Int32Array(length).fill(-1);
    const candidates = new Int32Array(4 * count);
    for (let c = 0; c < count; c++) {
      const rows = pieces(spans[2 * c], spans[2 * c + 1]).map(moved);
      candidates.set([...rows, solid + c, solid + count + c], 4 * c);
      for (const side of [0, 1]) {
        positions[solid + side * count + c] = rows[side];
        groups[solid + side * count + c] = c;
      }
    }
    return {
      ids,
      positions,
      kinds: new Int32Array(length).fill(kinds.annotation, text.length).fill(kinds.marker, solid),
      groups,
      candidates,
      labels: this.#labels.map((row) => row + text.length),
      subject: subject && Int32Array.of(moved(first), moved(last), first, last + 2),
    };
  }
}
