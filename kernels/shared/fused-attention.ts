/**
 * The forms of attention in which scores never leave a workgroup (shaders/common/attention-tile.wgsl): 256 lanes own a
 * few rows of one side of a (batch, head) and stream over the rows of the other, a tile of 1024 scores at a time.
 */
import { ceilDiv, f32, foldGrid, type Binding, type Caps, type Dispatch, type Shader } from '../plan.ts';
import { lanesFor } from './lanes.ts';
import { KEY_STEPS, scoreScale, type AttentionSizes } from './attention-strips.ts';

const WORKGROUP = 256;
/** Scores of a tile: four a lane. */
const TILE = 4 * WORKGROUP;
/** Rows that a workgroup owns unless it is told otherwise: 16 lanes a row. */
export const OWN_ROWS = 16;
/** vec4s of columns that a lane sums up at most, for four rows each. */
const MAX_VECS = 2;
/** Slots of a reduction over a row of lanes where the device has no subgroups. */
const SLOTS = 8;
const VEC4_BYTES = 16;

/** What a fused pass needs of its workgroups. */
export interface FusedPass {
  /** Whether workgroups own keys and stream over queries; else the other way round. */
  keysOwn: boolean;
  /** How many matrix products make the scores of a tile, and how many sums over tiles there are. */
  products: 1 | 2;
  sums: 0 | 1 | 2;
  /** Tiles in workgroup memory. */
  tiles: 1 | 2;
  /** Whether statistics are made over the rows of lanes. */
  rows?: boolean;
  /** Rows that a workgroup owns, 16 unless given. */
  own?: number;
  /** Own rows at both ends of a block that it only reads, and rows of a tile that are left out of its sums; 0 unless given. */
  ownSkip?: number;
  skip?: number;
  /** Rows that a block gives, all but those that it only reads unless given. */
  blockRows?: number;
  /** Tiles of single elements, in which lanes write these; else of vec4s. */
  elements?: boolean;
  /** Bytes of workgroup memory besides. */
  moreBytes?: number;
}

export const reads = (...names: string[]): Binding[] =>
  names.map((name) => ({ name, access: 'read', tensor: name }));
export const writes = (...names: string[]): Binding[] =>
  names.map((name) => ({ name, access: 'read_write', tensor: name }));

/** The smallest size of a subgroup, where statistics may be made over subgroups; else 0. */
const subgroupsOf = (caps: Caps, stream: number): number =>
  caps.subgroupMinSize >= 4 && caps.subgroupMaxSize <= stream ? caps.subgroupMinSize : 0;

/** From so much workgroup memory on slices are long: half as many barriers. */
const LONG_SLICE_BYTES = 32768;

/** vec4s of a row that are in workgroup memory at a time, 8 or 4; undefined where there is no memory for 4. */
function sliceOf({ tiles, rows, own = OWN_ROWS, moreBytes = 0 }: FusedPass, caps: Caps): number | undefined {
  const stream = TILE / own;
  const subgroups = subgroupsOf(caps, stream);
  const slots = rows ? (own / 4) * (subgroups > 0 ? stream / subgroups : SLOTS) : 0;
  const bytes = (slice: number): number =>
    VEC4_BYTES * (stream * (slice + 1) + own * slice + tiles * WORKGROUP + slots) + moreBytes;
  const most = caps.maxComputeWorkgroupStorageSize;
  return (most >= LONG_SLICE_BYTES ? [8, 4] : [4]).find((slice) => bytes(slice) <= most);
}

/**
 * Whether a pass can run fused, and is worth it (pure): on a device that is no CPU, which would pay for the barriers, for
 * heads whose sums fit in registers.
 */
export function canFuse(pass: FusedPass, headSize: number, caps: Caps): boolean {
  const { stream } = rowsShare(pass.own ?? OWN_ROWS);
  return (
    !caps.software &&
    headSize > 0 &&
    headSize <= 4 * stream * MAX_VECS &&
    caps.maxComputeInvocationsPerWorkgroup >= WORKGROUP &&
    sliceOf(pass, caps) !== undefined
  );
}

/**
 * How the lanes that have the same own rows share the sums over a tile: `dimLanes` of them have columns of their own, a
 * power of two; `splits` times as many share the rows of the tile, `stream`.
 */
export function rowsShare(own: number, headSize = 4): { stream: number; dimLanes: number; splits: number } {
  const stream = TILE / own;
  let dimLanes = 1;
  while (4 * dimLanes < headSize && dimLanes < stream) dimLanes *= 2;
  return { stream, dimLanes, splits: stream / dimLanes };
}

/** A fused dispatch without its cost: every (batch, head) and block of own rows a workgroup. */
export function fusedDispatch(
  pass: FusedPass,
  sizes: AttentionSizes,
  caps: Caps,
  of: {
    label: string;
    shader: Shader;
    bindings: readonly Binding[];
    constants?: Dispatch['constants'];
    uniforms?: Dispatch['uniforms'];
    mask?: boolean;
    /** What scores are multiplied by besides 1/√dh. */
    scoreFactor?: number;
  },
): Omit<Dispatch, 'macs' | 'flops' | 'bytesRead' | 'bytesWritten'> {
  const { batches, heads, queries, keys, hidden, headSize } = sizes;
  const own = pass.own ?? OWN_ROWS;
  const { stream, dimLanes } = rowsShare(own, headSize);
  const [ownRows, streamRows] = pass.keysOwn ? [keys, queries] : [queries, keys];
  const { ownSkip = 0, skip = 0, blockRows = own - 2 * ownSkip } = pass;
  const blocks = ceilDiv(ownRows, blockRows);
  const groups = batches * heads * blocks;
  const width = ceilDiv(headSize, 4);
  const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
  return {
    label: of.label,
    shader: of.shader,
    entryPoint: 'main',
    constants: {
      OWN: own,
      STREAM: stream,
      SLICE: sliceOf(pass, caps) ?? 4,
      LANES: lanesFor(headSize),
      VECS: ceilDiv(width, dimLanes),
      PRODUCTS: range(pass.products),
      SUMS: range(pass.sums),
      TILES: pass.tiles,
      STEPS: KEY_STEPS,
      SKIP: skip,
      OWN_SKIP: ownSkip,
      ELEMENTS: Number(pass.elements === true),
      SEGMENTS: 0,
      SUBGROUPS: pass.rows ? subgroupsOf(caps, stream) : 0,
      KEYS_OWN: Number(pass.keysOwn),
      LENGTHS: Number(sizes.lengths !== undefined),
      PADDED_QUERIES: Number(sizes.paddedQueries === true),
      MASK: Number(of.mask === true),
      ...of.constants,
    },
    bindings: of.bindings,
    uniforms: [
      ...[groups, blocks, heads, ownRows, streamRows, hidden, headSize, width, dimLanes],
      ...[sizes.lengths?.length ?? 0, blockRows],
      f32((of.scoreFactor ?? 1) * scoreScale(sizes)),
      ...(of.uniforms ?? []),
    ],
    workgroups: foldGrid(groups, caps),
  };
}
