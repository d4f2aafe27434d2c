/** LAI-Net's instances as one padded batch. */
import type { LaiBatch } from '../../models/lai-config.ts';
import type { Instance, Packer } from './instances.ts';

/** Instances, at least one, as the model takes them. */
export function makeBatch(instances: readonly Instance[], packer: Packer): LaiBatch {
  const rows = instances.map((instance) => packer.pack(instance));
  const most = (of: (row: (typeof rows)[number]) => number): number => Math.max(...rows.map(of));
  const length = most(({ ids }) => ids.length);
  const columns = most(({ candidates }) => candidates.length / 4);
  /** Parts side by side, each of `width` with `fill` behind it. */
  const pad = (parts: readonly Int32Array[], width: number, fill: (b: number) => number): Int32Array => {
    const out = new Int32Array(parts.length * width);
    parts.forEach((part, b) => out.fill(fill(b), b * width, (b + 1) * width).set(part, b * width));
    return out;
  };
  const padId = packer.tokenizer.padId;
  const tokens = (name: 'ids' | 'positions' | 'kinds' | 'groups', fill: number): Int32Array =>
    pad(
      rows.map((row) => row[name]),
      length,
      () => fill,
    );
  /** Rows of an instance as rows of the batch. */
  const flat = (name: 'candidates' | 'labels' | 'subject', width: number): Int32Array =>
    pad(
      rows.map((row, b) => row[name]!.map((at) => b * length + at)),
      width,
      (b) => b * length,
    );
  return {
    pieces: {
      ids: tokens('ids', padId),
      positions: tokens('positions', 0),
      lengths: Int32Array.from(rows, ({ ids }) => ids.length),
      rows: rows.length,
      columns: length,
    },
    kinds: tokens('kinds', 0),
    groups: tokens('groups', -1),
    candidates: flat('candidates', 4 * columns),
    counts: Int32Array.from(rows, ({ candidates }) => candidates.length / 4),
    columns,
    labels: flat('labels', rows[0].labels.length),
    ...(rows[0].subject && { subjects: flat('subject', 4) }),
  };
}

/**
 * Rows of the sentences' tables as rows of a batch, [B, C, width] with `fill` in padding.
 * @param tables by sentence, [rows, width]
 * @param columns C
 */
export function batchRows(
  instances: readonly Instance[],
  tables: readonly Int32Array[],
  columns: number,
  width: number,
  fill: number,
): Int32Array {
  const out = new Int32Array(instances.length * columns * width).fill(fill);
  instances.forEach(({ sentence, row, spans }, b) => {
    const part = tables[sentence].subarray(row * width, (row + spans.length / 2) * width);
    out.set(part, b * columns * width);
  });
  return out;
}

/** The rows of a batch's output [B, C, width] that are candidates, instance by instance. */
export function unpadRows(padded: Float32Array, counts: Int32Array, columns: number): Float32Array[] {
  const width = padded.length / counts.length / columns;
  return Array.from(counts, (count, b) =>
    padded.subarray(b * columns * width, (b * columns + count) * width),
  );
}
