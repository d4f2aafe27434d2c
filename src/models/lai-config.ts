/**
 * LAI-Net's configuration (docs/spec.md#lai-net), and the batch that goes between packing and the model: text, the
 * labels' annotations and the levitated markers of every candidate in one sequence.
 */
import { InputError } from '../../kernels/errors.ts';
import { parseBertConfig, type PieceBatch } from './bert.ts';
import { Fields, MOST_LAYERS, type Json } from './config.ts';
import type { SentenceConfig } from './sentence-config.ts';
import { parseSymmetric } from './symmetric.ts';
import { parseWordRule } from './word-rule.ts';

export const stages = ['entities', 'relations'] as const;
const visibilities = ['invisible', 'visible', 'full'] as const;

export interface LaiConfig extends SentenceConfig {
  stage: (typeof stages)[number];
  symmetric: string[];
  /** The phrase of a label; a label without one is its own. */
  annotations: Record<string, string>;
  /** False: no annotations in the input, and no graph (the paper's Table 3). */
  annotate: boolean;
  /** Table 4. */
  visibility: (typeof visibilities)[number];
  /** Which markers a marker sees: its pair, or all. */
  markerVisibility: 'pair' | 'all';
  views: number;
  /** 0: annotations in the input alone (Table 3). */
  graphLayers: number;
  /** False: all candidates are classified (Table 5). */
  filter: boolean;
  /** Most candidates of one instance. */
  maxCandidates: number;
  markers: { start: string; end: string; subjectStart: string; subjectEnd: string };
}

/** What a token is to the others. */
export const kinds = { text: 0, annotation: 1, marker: 2 } as const;

/** Whether there is a graph, hence a second round. */
export const hasGraph = ({ annotate, graphLayers }: LaiConfig): boolean => annotate && graphLayers > 0;

const labelKeys = { entities: 'entityTypes', relations: 'relationTypes' } as const;

/** The labels that are annotated and classified, in order. */
export const labelsOf = (config: LaiConfig): string[] => config[labelKeys[config.stage]];

/** The same under their key: there are none of the other kind. */
export const stageLabels = (
  config: LaiConfig,
): Pick<Partial<LaiConfig>, 'entityTypes' | 'relationTypes'> => ({
  [labelKeys[config.stage]]: labelsOf(config),
});

/** For each relation type the class of its inverse, which is its own where it is symmetric. */
export function inverseClasses({ relationTypes, symmetric }: LaiConfig): number[] {
  let next = relationTypes.length;
  return relationTypes.map((type, r) => (symmetric.includes(type) ? r : next++));
}

/** Outputs of the relation head: the types, then the inverses. */
export const relationClasses = ({ relationTypes, symmetric }: LaiConfig): number =>
  2 * relationTypes.length - symmetric.length;

/** `sees` of the kernel `visibility-attention`: bit j of entry i says that kind i sees kind j. */
export function visibleKinds({ visibility, markerVisibility }: LaiConfig): number[] {
  if (visibility === 'full') return [7, 7, 7];
  const [text, annotation, marker] = [1, 2, 4];
  const other = visibility === 'visible' ? text | annotation : 0;
  return [text | marker | other, annotation | other, text | (markerVisibility === 'all' ? marker : 0)];
}

/** Reads a checkpoint's config. Errors: InputError naming `what` and the key, unknown keys included. */
export function parseLaiConfig(json: Json, what: string): LaiConfig {
  const fields = new Fields(json, what);
  fields.oneOf('model', ['lai'] as const);
  const markers = fields.fields('markers');
  const relationTypes = fields.strings('relationTypes', []);
  const config: LaiConfig = {
    encoder: parseBertConfig(fields.object('encoder'), `${what}: encoder`),
    stage: fields.oneOf('stage', stages),
    entityTypes: fields.strings('entityTypes', []),
    ...{ relationTypes, symmetric: [], ...parseSymmetric(fields, relationTypes) },
    annotations: fields.fields('annotations').texts(),
    annotate: fields.boolean('annotate', true),
    visibility: fields.oneOf('visibility', visibilities, 'invisible'),
    markerVisibility: fields.oneOf('markerVisibility', ['pair', 'all'] as const, 'pair'),
    views: fields.integer('views', 2),
    graphLayers: fields.integer('graphLayers', 2, 0, MOST_LAYERS),
    filter: fields.boolean('filter', true),
    maxSpanWidth: fields.integer('maxSpanWidth', 8),
    maxCandidates: fields.integer('maxCandidates', 220),
    relationThreshold: fields.number('relationThreshold', 0.4, 0, 1),
    markers: {
      start: markers.text('start', '[unused1]'),
      end: markers.text('end', '[unused2]'),
      subjectStart: markers.text('subjectStart', '[unused3]'),
      subjectEnd: markers.text('subjectEnd', '[unused4]'),
    },
    ...(fields.has('words') && { words: parseWordRule(fields) }),
  };
  for (const each of [fields, markers]) each.rejectUnknown();
  const { stage, views } = config;
  if (labelsOf(config).length === 0)
    throw new InputError(`${what}: no label of stage ${stage}: "${labelKeys[stage]}" is empty`);
  const width = config.encoder.hiddenSize * (stage === 'entities' ? 1 : 2);
  if (hasGraph(config) && width % views)
    throw new InputError(`${what}: "views" ${views} does not divide the graph's width ${width}`);
  return config;
}

/** B instances as the model takes them; L tokens, C candidates at most, T labels (0 without annotations). */
export interface LaiBatch {
  /** With positions: markers have those of the text they mark. */
  pieces: PieceBatch;
  /** i32[B, L] for `visibility-attention`; anything in padding. */
  kinds: Int32Array;
  groups: Int32Array;
  /** i32[B, C, 4] rows of [B·L, d]: first and last piece, start and end marker; the instance's row 0 in padding. */
  candidates: Int32Array;
  /** i32[B]: candidates of each instance, at least one. */
  counts: Int32Array;
  /** C. */
  columns: number;
  /** i32[B, T, 2] rows of [B·L, d]: first and last piece of each label's phrase. */
  labels: Int32Array;
  /** i32[B, 4], relations stage alone: the subject's first and last piece, `subjectStart`, `subjectEnd`. */
  subjects?: Int32Array;
}
