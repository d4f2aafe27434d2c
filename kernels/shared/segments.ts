/**
 * Sums of rows by target row, the transpose of a gather: gradients of `embedding` and of the span kernels. The host
 * buckets the rows once (compressed sparse rows), so the device neither scans indices nor needs float atomics.
 */
import { ceilDiv, foldGrid, spec, type Caps, type Dispatch, type Plan } from '../plan.ts';
import { fill } from './elementwise.ts';
import { lanesFor } from './lanes.ts';
import segmentSumWgsl from '../../shaders/segment-sum.wgsl';

/** Items one invocation adds; a longer segment is split into slabs of this many, as `column-sum` does. */
const SLAB = 64;

/** The items of segment s are items[starts[s] .. starts[s + 1]], in the order they were given. */
export interface Segments {
  starts: Int32Array;
  items: Int32Array;
  /** The target row of each segment; absent: s itself. */
  targets?: Int32Array;
}

/**
 * Buckets `items` by `keys` (same length, each key in 0..rows−1), keeping their order: a counting sort.
 * @param rows number of target rows; a row without items has an empty segment.
 */
export function segmentsByKey(keys: Int32Array, items: Int32Array, rows: number): Segments {
  const starts = new Int32Array(rows + 1);
  for (let i = 0; i < keys.length; i++) starts[keys[i] + 1]++;
  for (let row = 0; row < rows; row++) starts[row + 1] += starts[row];
  const next = starts.slice();
  const sorted = new Int32Array(items.length);
  for (let i = 0; i < keys.length; i++) sorted[next[keys[i]]++] = items[i];
  return { starts, items: sorted };
}

/** The same for the keys that occur alone, ascending: work and tables are those of the items, however many rows there are. */
export function segmentsOfKeys(keys: Int32Array, items: Int32Array): Segments {
  const sorted = keys.slice().sort();
  let count = 0;
  for (let i = 0; i < sorted.length; i++)
    if (i === 0 || sorted[i] !== sorted[i - 1]) sorted[count++] = sorted[i];
  const targets = sorted.slice(0, count);
  const segmentOf = new Map<number, number>();
  for (let segment = 0; segment < count; segment++) segmentOf.set(targets[segment], segment);
  const segments = new Int32Array(keys.length);
  for (let i = 0; i < keys.length; i++) segments[i] = segmentOf.get(keys[i]) as number;
  return { ...segmentsByKey(segments, items, count), targets };
}

/** What `segmentSum` adds to a plan. */
export type PlanPart = Pick<Plan, 'dispatches' | 'scratch' | 'data'>;

/** Parts of a plan one after the other. */
export const joinParts = (parts: readonly PlanPart[]): PlanPart => ({
  dispatches: parts.flatMap((part) => part.dispatches),
  scratch: Object.assign({}, ...parts.map((part) => part.scratch)) as PlanPart['scratch'],
  data: Object.assign({}, ...parts.map((part) => part.data)) as PlanPart['data'],
});

/**
 * The plan of out[r, :] = Σ of source[item .. item + n] over the items of row r, for every row that `segments` has; rows
 * without items become 0. Segments over 64 items go through partial sums, 64 at a time: the order of additions is
 * fixed. `items` are element offsets into `source`. Scratch and data names begin with `out`. With `add` the sums are added
 * to what `out` holds.
 */
export function segmentSum(
  label: string,
  source: string,
  n: number,
  segments: Segments,
  out: string,
  caps: Caps,
  add = false,
): PlanPart {
  const rows = segments.starts.length - 1;
  if (rows * n === 0 || (add && segments.items.length === 0))
    return { dispatches: [], scratch: {}, data: {} };
  if (segments.items.length === 0)
    return { dispatches: [fill(label, out, rows * n, 0, caps)], scratch: {}, data: {} };
  const dispatches: Dispatch[] = [];
  const scratch: Record<string, Plan['scratch'][string]> = {};
  const data: Record<string, Int32Array> = {};

  let from = source;
  let { items } = segments;
  /** (target row, first item, end) of each segment that is left. */
  let pending: Int32Array = new Int32Array(3 * rows);
  for (let row = 0; row < rows; row++) {
    pending[3 * row] = segments.targets?.[row] ?? row;
    pending[3 * row + 1] = segments.starts[row];
    pending[3 * row + 2] = segments.starts[row + 1];
  }
  for (let level = 0; ; level++) {
    const itemTable = `${out}.items${level}`;
    const lanes = allFours(items) ? lanesFor(n) : 1;
    const sum = (table: Int32Array, name: string, to: string): void => {
      data[name] = table;
      data[itemTable] = items;
      dispatches.push(
        segmentDispatch(
          label,
          { segments: name, items: itemTable, from, to },
          table,
          n,
          lanes,
          caps,
          add && to === out,
        ),
      );
    };
    if (!someLong(pending)) {
      sum(pending, `${out}.segments${level}`, out);
      return { dispatches, scratch, data };
    }
    const { whole, slabs, split } = inSlabs(pending);
    if (whole.length > 0) sum(whole, `${out}.segments${level}`, out);
    const partial = `${out}.partial${level}`;
    const count = slabs.length / 3;
    scratch[partial] = spec([count, n]);
    sum(slabs, `${out}.slabs${level}`, partial);
    from = partial;
    items = new Int32Array(count);
    for (let slab = 0; slab < count; slab++) items[slab] = slab * n;
    pending = split;
  }
}

/** Segments (target row, first item, end) that are no longer than a slab, the slabs of the others, and which of these add up to what. */
function inSlabs(pending: Int32Array): { whole: Int32Array; slabs: Int32Array; split: Int32Array } {
  let [wholes, count] = [0, 0];
  for (let i = 0; i < pending.length; i += 3) {
    const length = pending[i + 2] - pending[i + 1];
    if (length <= SLAB) wholes++;
    else count += ceilDiv(length, SLAB);
  }
  const whole = new Int32Array(3 * wholes);
  const slabs = new Int32Array(3 * count);
  const split = new Int32Array(pending.length - whole.length);
  let [w, s, p] = [0, 0, 0];
  for (let i = 0; i < pending.length; i += 3) {
    const end = pending[i + 2];
    if (end - pending[i + 1] <= SLAB) {
      for (let part = 0; part < 3; part++) whole[w++] = pending[i + part];
      continue;
    }
    split[p++] = pending[i];
    split[p++] = s / 3;
    for (let at = pending[i + 1]; at < end; at += SLAB) {
      slabs[s] = s / 3;
      slabs[s + 1] = at;
      slabs[s + 2] = Math.min(at + SLAB, end);
      s += 3;
    }
    split[p++] = s / 3;
  }
  return { whole, slabs, split };
}

/** Whether all are multiples of 4. */
function allFours(items: Int32Array): boolean {
  let bits = 0;
  for (let i = 0; i < items.length; i++) bits |= items[i];
  return bits % 4 === 0;
}

/** Whether one of the segments (target row, first item, end) is longer than a slab. */
function someLong(triples: Int32Array): boolean {
  for (let i = 0; i < triples.length; i += 3) if (triples[i + 2] - triples[i + 1] > SLAB) return true;
  return false;
}

function segmentDispatch(
  label: string,
  names: { segments: string; items: string; from: string; to: string },
  table: Int32Array,
  n: number,
  lanes: 1 | 4,
  caps: Caps,
  add: boolean,
): Dispatch {
  const count = table.length / 3;
  let added = 0;
  for (let i = 0; i < table.length; i += 3) added += table[i + 2] - table[i + 1];
  const width = n / lanes;
  return {
    label,
    shader: segmentSumWgsl,
    entryPoint: 'main',
    constants: { LANES: lanes, ADD: Number(add) },
    bindings: [
      { name: 'segments', access: 'read', tensor: names.segments },
      { name: 'items', access: 'read', tensor: names.items },
      { name: 'source', access: 'read', tensor: names.from },
      { name: 'out', access: 'read_write', tensor: names.to },
    ],
    uniforms: [count * width, width],
    workgroups: foldGrid(ceilDiv(count * width, 64), caps),
    macs: 0,
    flops: added * n + (add ? count * n : 0),
    bytesRead: 4 * (added * n + added + 3 * count + (add ? count * n : 0)),
    bytesWritten: 4 * count * n,
  };
}
