/** A checkpoint's forward pass as a manifest, with its weights beside it (docs/export.md#models). */
import { InputError } from '../../kernels/errors.ts';
import { ShaderFiles } from '../../kernels/manifest/dispatch.ts';
import { MANIFEST_VERSION, type Manifest, type ManifestPart } from '../../kernels/manifest/types.ts';
import type { Caps } from '../../kernels/plan.ts';
import type { HostValues } from '../gpu/kernel-plan.ts';
import { recordPart, type Recorded } from '../gpu/record-part.ts';
import type { Runtime } from '../gpu/runtime.ts';
import { sameValue } from '../gpu/same-value.ts';
import { hostTensor, type HostTensor } from '../io/safetensors.ts';
import type { PieceBatch } from '../models/bert.ts';
import { stream } from '../nn/random.ts';
import type { Definition, Model, Opened } from './definition.ts';

export interface ExportedModel {
  manifest: Manifest;
  /** WGSL by file name. */
  shaders: Record<string, string>;
  weights: Map<string, HostTensor>;
}

/** The file of the weights. */
export const EXPORTED_WEIGHTS = 'weights.safetensors';
/** First id of the random streams used here. */
const EXPORT_STREAM = 9;

/** Rows of random pieces, whole ones; of variant 2 they have any length from 3 on. */
export function madeBatch({ config }: Model, rows: number, columns: number, variant = 0): PieceBatch {
  const random = stream(1, EXPORT_STREAM, variant);
  const { vocabSize, typeVocabSize } = config.encoder;
  const size = rows * columns;
  const typed = typeVocabSize > 1;
  return {
    ids: Int32Array.from({ length: size }, () => random.integer(vocabSize)),
    tokenTypes: Int32Array.from({ length: size }, () => (typed ? random.integer(2) : 0)),
    lengths: Int32Array.from({ length: rows }, () =>
      variant < 2 ? columns : 3 + random.integer(columns - 2),
    ),
    ...{ rows, columns },
  };
}

/** The model's forward. Errors: InputError for a model that has none of a fixed form. */
function forwardOf({ forward, title }: Definition): NonNullable<Definition['forward']> {
  if (!forward) throw new InputError(`export: ${title} has no forward pass of a fixed form`);
  return forward;
}

/** The logits of a batch on a device, by the names of the manifest's outputs: what a runner is to find. */
export async function logitsOf(
  { definition, load }: Opened,
  runtime: Runtime,
  rows: number,
  columns: number,
): Promise<Map<string, HostTensor>> {
  return runtime.scope(async () => {
    const { model } = await load(runtime);
    const logits = Object.entries(forwardOf(definition)(model, madeBatch(model, rows, columns)));
    const values = await runtime.readAll(logits.map(([, tensor]) => tensor));
    model.parameters.release();
    return new Map(
      logits.map(([name, { shape }], i): [string, HostTensor] => [name, hostTensor(shape, values[i])]),
    );
  });
}

/**
 * The forward pass of a checkpoint for so many rows of so many pieces each, for a device of such capabilities. Where
 * nothing but tables that are the values of a host input changes with those, `host[].tables` says so.
 * @throws InputError for rows longer than the model takes, and a model that has no forward pass of a fixed form
 */
export async function exportModel(
  opened: Opened,
  caps: Caps,
  rows: number,
  columns: number,
): Promise<ExportedModel> {
  const { definition, config, load } = opened;
  const forward = forwardOf(definition);
  const most = config.encoder.maxPositions;
  if (columns < 3 || columns > most)
    throw new InputError(`export: a row has from 3 to ${most} pieces, not ${columns}`);
  const record = async (shaders: ShaderFiles, variant: number): Promise<Recorded> => {
    const work = async (runtime: Runtime) => {
      const { model } = await load(runtime);
      const batch = madeBatch(model, rows, columns, variant);
      const shape = [rows, columns];
      const host: Record<string, HostValues> = {
        ids: { data: batch.ids, shape },
        token_types: { data: batch.tokenTypes!, shape },
        lengths: { data: batch.lengths, shape: [rows] },
      };
      const outputs = forward(model, batch);
      const weights = new Map([...model.parameters.all].map(([name, { tensor }]) => [name, tensor]));
      return { weights, host, outputs };
    };
    return recordPart('forward', definition.title, caps, work, EXPORTED_WEIGHTS, shaders);
  };
  const shaders = new ShaderFiles();
  const { part, weights } = await record(shaders, 0);
  // All of its inputs are free, or those but the lengths, or none.
  let free = new Map<string, string[]>();
  for (let variant = 2; variant > 0 && free.size === 0; variant--)
    free = freeInputs(part, (await record(new ShaderFiles(), variant)).part);
  for (const input of part.host) {
    const tables = free.get(input.name);
    if (tables) input.tables = tables;
  }
  return {
    manifest: {
      ...{ format: 'spanwise-manifest', version: MANIFEST_VERSION, name: definition.name },
      doc: `${definition.title}: a forward pass of ${rows} rows of ${columns} pieces`,
      parts: [part],
    },
    ...{ shaders: shaders.texts, weights },
  };
}

/** A part without what it costs and holds of values. */
const formOf = ({ dispatches, tables, buffers, inputs, outputs }: ManifestPart): unknown => ({
  ...{ buffers, inputs, outputs },
  dispatches: dispatches.map(({ label, shader, entryPoint, workgroups, bindings, uniforms }) => {
    return { label, shader, entryPoint, workgroups, bindings, uniforms };
  }),
  tables: tables.map(({ values: _, ...table }) => table),
});

/**
 * The tables of each host input that changed which are its values in both of two recordings, where these differ in nothing
 * else; empty where they do.
 */
function freeInputs(one: ManifestPart, two: ManifestPart): Map<string, string[]> {
  const free = new Map<string, string[]>();
  if (!sameValue(formOf(one), formOf(two))) return free;
  const changed = one.host.flatMap(({ name, values }, i) =>
    sameValue(values, two.host[i].values) ? [] : [{ name, values, other: two.host[i].values }],
  );
  for (const [i, { name, values }] of one.tables.entries()) {
    const other = two.tables[i].values;
    if (sameValue(values, other)) continue;
    const input = changed.find((each) => sameValue(each.values, values) && sameValue(each.other, other));
    if (!input) return new Map();
    free.set(input.name, [...(free.get(input.name) ?? []), name]);
  }
  return free;
}
