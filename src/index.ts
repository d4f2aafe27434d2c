/** The public interface, browser-safe. Node adds devices, files and training in `spanwise/node`. */
export * from '../kernels/index.ts';
export { openDevice, wrapDevice, type DeviceInfo, type OpenedDevice } from './gpu/device.ts';
export * from './gpu/errors.ts';
export type { Label, MemoryReport } from './gpu/memory.ts';
export type { Phase, Work } from './gpu/meter.ts';
export { Runtime, type RuntimeOptions } from './gpu/runtime.ts';
export { Tensor } from './gpu/tensor.ts';
export { distinctClasses, productsOfLinear, tuneProduct } from './gpu/autotune.ts';
export { parseTuning, tuneDevice, tuningMismatch, tuningOf } from './gpu/tuning.ts';
export type { Product, TunedProduct, Tuning } from './gpu/tuning.ts';
export * from './ops/index.ts';
export { Embedding, LayerNorm, Linear, MultiHeadAttention, type Visibility } from './nn/modules.ts';
export {
  FileSource,
  Parameters,
  randomSource,
  type Init,
  type Parameter,
  type Source,
} from './nn/parameters.ts';
export { Random, stream } from './nn/random.ts';
export * from './optim/index.ts';
export { parseSafetensors, serializeSafetensors, type HostTensor } from './io/safetensors.ts';
export { Bert, mapBertNames, parseBertConfig, type BertConfig, type PieceBatch } from './models/bert.ts';
export {
  Cerem,
  ceremBase,
  countParameters,
  parseCeremConfig,
  type CeremConfig,
  type CeremOptions,
  type Ends,
} from './models/cerem.ts';
export {
  SegmentInformationAttention,
  type SegmentAttentionConfig,
} from './models/segment-information-attention.ts';
export { parameterShapes } from './nn/shapes.ts';
export {
  attentionMap,
  type AttentionMap,
  type BranchAttention,
  type WeightMap,
} from './tasks/cerem/attention-map.ts';
export { attentionSvg } from './tasks/cerem/attention-svg.ts';
export { cachedPieces, parsePromptedJson, type CharSpan, type PromptedText } from './tasks/cerem/batch.ts';
export { evaluateCerem, type CeremEvaluation } from './tasks/cerem/evaluate.ts';
export { extractDocuments, type ExtractionReport, type PredictedDocument } from './tasks/cerem/extract.ts';
export { predictAnswers, type Answers, type Question } from './tasks/cerem/predict.ts';
export { sampleNotes, sampleTexts, type SampleOptions } from './tasks/cerem/samples.ts';
export {
  inferSchema,
  isArgument,
  parseSchema,
  relationPrompt,
  schemaJson,
  type EntityQuestion,
  type RelationQuestion,
  type Schema,
} from './tasks/cerem/schema.ts';
export { compareInPairs, type PairedComparison } from './tasks/comparison.ts';
export { documentNotes } from './tasks/corpus/notes.ts';
export { parseDocuments, type Corpus } from './tasks/corpus/parse.ts';
export { documentsJson } from './tasks/corpus/tokens.ts';
export type { Document } from './tasks/document.ts';
export { parseStsnConfig, Stsn, type States, type StsnBatch, type StsnConfig } from './models/stsn.ts';
export { labelSets, parseSpertJson, type Annotation, type Sentence } from './tasks/dataset.ts';
export { evaluate, type Evaluation } from './tasks/stsn/evaluate.ts';
export { predict, type Prediction } from './tasks/stsn/predict.ts';
export type { ExtractedEntity, Extraction } from './tasks/extraction.ts';
export { extract } from './tasks/stsn/extract.ts';
export { createWordPieceTokenizer } from './tasks/text/wordpiece.ts';
export { splitWords, type Piece, type Tokenizer } from './tasks/text/tokenizer.ts';
