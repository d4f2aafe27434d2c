/** The public interface, browser-safe. Node adds devices, files and training in `spanwise/node`. */
export * from '../kernels/index.ts';
export {
  openDevice,
  wrapDevice,
  type DeviceInfo,
  type DeviceOptions,
  type OpenedDevice,
} from './gpu/device.ts';
export {
  baselineText,
  BaselineVersionError,
  parseBaseline,
  type Measured,
  type Quantities,
} from './gate/baseline.ts';
export { gate, type GateReport, type Moved } from './gate/gate.ts';
export { planStep } from './gate/plan-step.ts';
export * from './gpu/errors.ts';
export type { Label, MemoryReport } from './gpu/memory.ts';
export type { Phase, Work } from './gpu/meter.ts';
export { Runtime, type RuntimeOptions } from './gpu/runtime.ts';
export { Tensor, type KernelOptions, type TensorRuntime, type WrapOptions } from './gpu/tensor.ts';
export { distinctClasses, productsOfLinear, tuneProduct } from './gpu/autotune.ts';
export { parseTuning, tuneDevice, tuningMismatch, tuningOf } from './gpu/tuning.ts';
export type { Product, TunedProduct, Tuning } from './gpu/tuning.ts';
export * from './ops/index.ts';
export {
  TOLERANCE as VERIFY_TOLERANCE,
  verifyKernel,
  type Verification,
  type WorstElement,
} from './ops/verify-kernel.ts';
export { Embedding, LayerNorm, Linear, MultiHeadAttention, type Visibility } from './nn/modules.ts';
export {
  FileSource,
  Parameters,
  randomSource,
  precisions,
  type Init,
  type Parameter,
  type Precision,
  type Source as ValueSource,
  type StoredPrecision,
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
export { Iser, parseIserConfig, type IserConfig, type IserStates } from './models/iser.ts';
export { parseLaiConfig, type LaiConfig } from './models/lai-config.ts';
export { Lai } from './models/lai.ts';
export { parseStsnConfig, Stsn, type States, type StsnConfig } from './models/stsn.ts';
export { wordRules, type WordRule } from './models/word-rule.ts';
export type { WordBatch } from './models/words.ts';
export type { Source } from './io/source.ts';
export { loadModel, LoadedModel } from './tasks/model.ts';
export { newModel, openCheckpoint, readEncoder, type PretrainedEncoder } from './tasks/checkpoint.ts';
export { exportModel, type ExportedModel } from './tasks/export-model.ts';
export type { Corpus, Definition, Extracted, Loaded, LoadOptions, Opened } from './tasks/definition.ts';
export type { Types, UseOptions } from './tasks/definition.ts';
export { definitionNamed, definitions } from './tasks/registry.ts';
export { lai } from './tasks/lai/definition.ts';
export { iser } from './tasks/spans/iser.ts';
export { stsn } from './tasks/spans/stsn.ts';
export { cerem } from './tasks/prompts/cerem.ts';
export { train, type Start, type TrainOptions } from './tasks/training/train.ts';
export { memoryStorage, type Storage } from './tasks/training/storage.ts';
export { defaultRecipe, type TrainingRecipe } from './tasks/training/recipe.ts';
export type { LogEvent } from './tasks/training/curve.ts';
export type { TrainingReport } from './tasks/training/run.ts';
export type { TraceOptions } from './tasks/trace.ts';
export {
  attentionMap,
  type AttentionMap,
  type BranchAttention,
  type WeightMap,
} from './tasks/prompts/attention-map.ts';
export { attentionSvg } from './tasks/prompts/attention-svg.ts';
export { cachedPieces, parsePromptedJson, type CharSpan, type PromptedText } from './tasks/prompts/batch.ts';
export { evaluateCerem, type CeremEvaluation } from './tasks/prompts/evaluate.ts';
export { extractDocuments, type ExtractionReport, type PredictedDocument } from './tasks/prompts/extract.ts';
export { predictAnswers, type Answers, type Question } from './tasks/prompts/predict.ts';
export { sampleNotes, sampleTexts, type SampleOptions } from './tasks/prompts/samples.ts';
export {
  inferSchema,
  isArgument,
  parseSchema,
  relationPrompt,
  schemaJson,
  type EntityQuestion,
  type RelationQuestion,
  type Schema,
} from './tasks/prompts/schema.ts';
export { compareInPairs, type PairedComparison } from './tasks/comparison.ts';
export { documentNotes } from './tasks/corpus/notes.ts';
export type { OnBad } from './tasks/bad-rows.ts';
export { formatNamed, formats } from './tasks/corpus/formats/index.ts';
export { parseDocuments } from './tasks/corpus/parse.ts';
export { readRows } from './tasks/corpus/read.ts';
export type { ReadOptions } from './tasks/corpus/reading.ts';
export { reduceRows } from './tasks/corpus/reduce.ts';
export { Counts, type Row } from './tasks/corpus/row.ts';
export { parseSentences } from './tasks/corpus/sentences.ts';
export { documentsJson } from './tasks/corpus/tokens.ts';
export type { Document } from './tasks/document.ts';
export { labelSets, parseSpertJson, type Annotation, type Sentence } from './tasks/dataset.ts';
export { evaluate, type Evaluation } from './tasks/spans/evaluate.ts';
export type { Prediction } from './tasks/spans/decode.ts';
export { predict } from './tasks/spans/predict.ts';
export type { Asked, ExtractedEntity, Extraction, Words } from './tasks/extraction.ts';
export { buildVocab, type VocabOptions } from './tasks/text/vocab.ts';
export { createWordPieceTokenizer } from './tasks/text/wordpiece.ts';
export type { Piece, Tokenizer } from './tasks/text/tokenizer.ts';
export { splitWords } from './tasks/text/words.ts';
