/** What the strips of `context-attention` share, forward and backward: how lanes are dealt out, tables, `mask_query`. */
import { ceilDiv, foldGrid, type Binding, type Dispatch, type Plan, type TensorSpec } from '../../plan.ts';
import { lanesFor } from '../lanes.ts';
import type { Matrix } from '../matmul.ts';
import { attentionStrips, scoreScale, ScoreStrip, type AttentionStrip } from '../attention-strips.ts';
import type { ContextProblem } from './problem.ts';
import { spansIn } from './tables.ts';

const WORKGROUP = 64;
/** Integers of a span in `spans` that are read (shaders/common/context-span.wgsl). */
export const SPAN_FIELDS = 7;
/** Columns of a head that an invocation holds at most. */
const MAX_COLUMNS = 32;

/**
 * How the columns of a head are dealt out: WIDTH of LANES floats each; invocation g of GROUP has columns g, g + GROUP, …,
 * COLS of them. On a GPU one each, neighbours side by side. On a CPU a whole head, for what is made by row, an exp among
 * it, costs as much as a few columns: with heads of 96 the merge took 1.5 times as long in fours of invocations, 2.3 times
 * as long in 24.
 */
function columnForm(headSize: number, software: boolean): Record<string, number> {
  const LANES = lanesFor(headSize);
  const WIDTH = headSize / LANES;
  let GROUP = software ? ceilDiv(WIDTH, MAX_COLUMNS) : WIDTH;
  while (WIDTH % GROUP !== 0) GROUP++;
  return { LANES, WIDTH, GROUP, COLS: WIDTH / GROUP };
}

/** (span, query) pairs of a strip: queries outside the span, inside it, and past the length. */
interface Pairs {
  outside: number;
  inside: number;
  padded: number;
}

type Scan = Omit<Dispatch, 'label' | 'entryPoint' | 'workgroups' | 'constants'> & {
  lanes: number;
  constants?: Dispatch['constants'];
};
export type Scratch = Readonly<Record<string, TensorSpec>>;

export const reads = (name: string, tensor = name): Binding => ({ name, access: 'read', tensor });
export const writes = (name: string, tensor = name): Binding => ({ name, access: 'read_write', tensor });

/** A strip whose scores have a column more, for `mask_query`. */
export abstract class ContextStrip extends ScoreStrip<ContextProblem> {
  /** Numbers of the spans of the strip's batch rows. */
  protected readonly spans = spansIn(this.sizes, this.strip.batch, this.strip.batches);
  protected readonly columns = columnForm(this.sizes.headSize, this.caps.software);

  /** The scratch that the strip's dispatches need. */
  abstract scratch(): Scratch;

  /** Queries of the strip's batch row `b` within length, without mask_query. */
  protected queriesIn(b: number): number {
    const { query, queries } = this.strip;
    return Math.min(queries, Math.max(0, this.lengthOf(b) - query));
  }

  #pairs: Pairs | undefined;

  protected pairs(): Pairs {
    if (this.#pairs) return this.#pairs;
    const { query, queries } = this.strip;
    const { spans, lengths } = this.sizes;
    const before = (end: number): number => Math.min(queries, Math.max(0, end - query));
    const pairs: Pairs = { outside: 0, inside: 0, padded: 0 };
    for (const s of this.spans) {
      const within = before(lengths[spans[3 * s]]);
      const inside = before(spans[3 * s + 2]) - before(spans[3 * s + 1]);
      pairs.inside += inside;
      pairs.outside += within - inside;
      pairs.padded += queries - within;
    }
    return (this.#pairs = pairs);
  }

  /** Elements of `scores`. */
  protected get scoreElements(): number {
    return this.strip.batches * this.strip.heads * this.sizes.keys * this.keyStride;
  }

  /** Binds tables of the strip's batch rows by their names. */
  protected bind(tables: Readonly<Record<string, Int32Array>>): Binding[] {
    const { batch, batches } = this.strip;
    return Object.entries(tables).map(([name, values]) => {
      const key = `${name}.${batch}.${batches}`;
      this.data[key] ??= values;
      return reads(name, key);
    });
  }

  protected lengthsTable(): Binding {
    return reads('lengths', this.lengths);
  }

  /** A dispatch of 64 invocations a workgroup. */
  protected scan({ lanes, constants, ...scan }: Scan): Dispatch {
    return {
      ...scan,
      constants: { ...this.columns, ...constants },
      label: this.label,
      entryPoint: 'main',
      workgroups: foldGrid(ceilDiv(lanes, WORKGROUP), this.caps),
    };
  }

  /** Where the strip's first head begins in a [B, L, D] tensor, in columns of LANES. */
  protected get firstColumn(): number {
    const { batch, head } = this.strip;
    const { queries, hidden, headSize } = this.sizes;
    return (batch * queries * hidden + head * headSize) / this.columns.LANES;
  }

  /** Elements of a row of a [B, L, D] tensor, in columns of LANES. */
  protected get rowColumns(): number {
    return this.sizes.hidden / this.columns.LANES;
  }

  /** mask_query or its gradient: a matrix [1, dh] per head. */
  protected maskOf(tensor: string): Matrix {
    const { hidden, headSize } = this.sizes;
    return { tensor, row: hidden, offset: this.strip.head * headSize, outer: 0, inner: headSize };
  }

  /** mask_query's column of the scores: a matrix [keys, 1] per batch and head. */
  protected maskScores(): Matrix {
    return { ...this.scoresOf('scores', 0), offset: this.strip.queries };
  }

  /** Scratch `scores`: those of the strip's queries by key, and with `mask` those of mask_query. */
  protected allScores(mask = true): Dispatch[] {
    const alpha = scoreScale(this.sizes);
    const { keys, headSize } = this.sizes;
    const own = this.scores('k', 'q', 'scores', alpha);
    if (!mask) return [own];
    const a = this.keysOf('k', 0);
    const [b, c] = [this.maskOf('mask_query'), this.maskScores()];
    return [own, this.matmul({ m: keys, n: 1, k: headSize, a, b, c, transB: true, alpha })];
  }
}

/**
 * Cuts a problem into strips of about `elements` floats of scratch: `perQuery` for every query of a head, `perHead`
 * beside these. At least four queries of a head are in a strip.
 */
export function contextStrips(
  { batches, heads, queries }: ContextProblem,
  elements: number,
  perQuery: number,
  perHead: number,
): AttentionStrip[] {
  const keys = perQuery + ceilDiv(perHead, Math.max(1, queries));
  return attentionStrips({ batches, heads, queries, keys }, elements);
}

/** Strips one after the other, and the scratch that the largest of them needs. */
export function planOf<Strip extends ContextStrip>(
  strips: readonly Strip[],
  dispatchesOf: (strip: Strip) => Dispatch[],
): Pick<Plan, 'dispatches' | 'scratch'> {
  const scratch: Record<string, TensorSpec> = {};
  for (const strip of strips)
    for (const [name, tensor] of Object.entries(strip.scratch()))
      if (!scratch[name] || scratch[name].shape[0] < tensor.shape[0]) scratch[name] = tensor;
  const dispatches = strips.flatMap(dispatchesOf);
  return { dispatches: dispatches.filter(({ workgroups }) => !workgroups.includes(0)), scratch };
}
