/**
 * What a manifest holds (docs/export.md; docs/manifest.schema.json says the same to machines). It leaves nothing to work
 * out: whoever makes the buffers, fills what has values and issues the dispatches in their order has run the plan.
 */
import type { DType, Params, Shape } from '../plan.ts';

/** The version of this form; it rises with every change that a runner would notice. */
export const MANIFEST_VERSION = 1;

export interface Manifest {
  format: 'spanwise-manifest';
  version: typeof MANIFEST_VERSION;
  name: string;
  /** What it computes. */
  doc: string;
  /** Expected values, where some are given: `expected` of the outputs points into this file. */
  vectors?: ManifestVectors;
  /** To be run in this order: a later part reads what an earlier one made. */
  parts: ManifestPart[];
}

export interface ManifestVectors {
  /** A safetensors file beside the manifest. */
  file: string;
  /** The largest error that counts as agreement, and how it is measured. */
  tolerance: number;
  error: string;
}

/** The file of a manifest's vectors. */
export const VECTORS = 'vectors.safetensors';

/** float32 sums of a few hundred terms stay below the tolerance. */
export const comparison: ManifestVectors = {
  ...{ file: VECTORS, tolerance: 1e-4 },
  error: '‖actual − expected‖₂ / max(‖expected‖₂, 0.001), over all elements of a tensor',
};

/** A plan: `forward`, or the `backward` that makes the gradients. */
export interface ManifestPart {
  name: string;
  doc: string;
  params: Params;
  requires: Requirements;
  /** Integers that the plan was made from. They are in the tables and uniforms already: none is bound. */
  host: HostInput[];
  buffers: ManifestBuffer[];
  inputs: ManifestInput[];
  outputs: ManifestOutput[];
  /** Working memory. Like outputs it may hold anything at first: every element that is read was written before. */
  scratch: ManifestTensor[];
  tables: ManifestTable[];
  /** In this order, each after the writes of those before it. */
  dispatches: ManifestDispatch[];
  totals: Totals;
}

/** What a device must grant; a limit that is not named is not used beyond nothing. */
export interface Requirements {
  features: string[];
  limits: Record<string, number>;
  /** Subgroups of the device must be of no fewer and no more lanes; absent where the shaders use none. */
  subgroups?: { min: number; max: number };
}

export interface HostInput {
  name: string;
  shape: Shape;
  values: number[];
  /** Tables that are its values. Where told, others of that shape may be written there, and are computed with. */
  tables?: string[];
}

/** To be made with usage STORAGE | COPY_DST | COPY_SRC. */
export interface ManifestBuffer {
  name: string;
  bytes: number;
}

/** Where a tensor lies: row-major elements of 4 bytes, of f16 two to a word, little-endian. */
export interface ManifestTensor {
  name: string;
  shape: Shape;
  dtype: DType;
  buffer: string;
  /** Of its first element in the buffer, in bytes. */
  offset: number;
  bytes: number;
}

/** A tensor of a safetensors file beside the manifest. */
export interface StoredTensor {
  file: string;
  tensor: string;
}

export interface ManifestInput extends ManifestTensor {
  /** Absent: the caller gives it. */
  from?: InputSource;
  /** Values to give it: those of the vectors, or a weight. */
  values?: StoredTensor;
}

/** An input of a backward part, by what it is to the forward part. */
export interface InputSource {
  part: string;
  /** `input`, `output`: that tensor of the part, as it was run. `gradient`: the gradient of an output, which the caller gives. */
  as: 'input' | 'output' | 'gradient';
  name: string;
}

export interface ManifestOutput extends ManifestTensor {
  /** The input that it is written over: they share a buffer, and the input's values are gone afterwards. */
  inPlace?: string;
  /** Kept for the backward part alone; there are no expected values of it. */
  saved?: boolean;
  expected?: StoredTensor;
}

/** Values to be written before the first dispatch. */
export interface ManifestTable extends ManifestTensor {
  /** What each row holds, and how it follows from the host inputs. */
  rule: string;
  /** The 32-bit words as integers; a column of another type holds its bits (`columns`). */
  values: number[];
  /** Of a table of structures. */
  columns?: StructField[];
}

export interface StructField {
  name: string;
  type: string;
  /** In bytes. */
  offset: number;
}

export interface ManifestDispatch {
  label: string;
  /** A WGSL file beside the manifest. */
  shader: string;
  entryPoint: string;
  workgroups: readonly [number, number, number];
  /** Invocations of a workgroup, as the shader declares them. */
  workgroupSize: readonly [number, number, number];
  bindings: ManifestBinding[];
  uniforms?: ManifestUniforms;
  macs: number;
  flops: number;
  bytesRead: number;
  bytesWritten: number;
}

/** A storage buffer. */
export interface ManifestBinding {
  group: number;
  binding: number;
  /** Of the variable in the WGSL. */
  name: string;
  access: 'read' | 'read_write';
  /** The type of its elements in the WGSL. */
  element: string;
  tensor: string;
  buffer: string;
  offset: number;
  size: number;
}

/** A uniform buffer: `words` is all of it. */
export interface ManifestUniforms {
  group: number;
  binding: number;
  name: string;
  bytes: number;
  fields: UniformField[];
  /** The bytes as unsigned 32-bit integers, zeros behind the last field. */
  words: number[];
}

export interface UniformField extends StructField {
  value: number;
}

export interface Totals {
  dispatches: number;
  /** Multiply-adds. */
  macs: number;
  /** 2 · macs + one per other arithmetic operation, exp, division, root. */
  flops: number;
  bytesRead: number;
  bytesWritten: number;
  /** Of all buffers. */
  bufferBytes: number;
}
