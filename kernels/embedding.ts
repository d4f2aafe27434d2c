/** `embedding`: rows of a table by id; the gradient sums the rows of grad_out that share an id. */
import { InputError } from './errors.ts';
import {
  ceilDiv,
  expectShape,
  foldGrid,
  hostOf,
  isAdded,
  isF16,
  shapeOf,
  sizeOf,
  spec,
  type Kernel,
  type ParamSpec,
  type PlanRequest,
  type Port,
  type Shape,
} from './plan.ts';
import { lanesFor } from './shared/lanes.ts';
import { fill } from './shared/elementwise.ts';
import { segmentsByKey, segmentsOfKeys, segmentSum } from './shared/segments.ts';
import { segmentTables } from './shared/table-rules.ts';
import embeddingWgsl from '../shaders/embedding.wgsl';

/** From this many table rows an id on most have no id: they are cleared together, not as segments without items. */
const SPARSE = 8;

const inputs: readonly Port[] = [
  { name: 'ids', dtype: 'i32', shape: '[...]', host: true },
  { name: 'table', dtype: 'f32', shape: '[V, d]', f16: true },
];

const params: readonly ParamSpec[] = [
  { name: 'padding', doc: 'also take the id -1, a row of zeros outside the table', default: false },
];

function bind(
  kernel: string,
  request: PlanRequest,
): { ids: Int32Array; idShape: Shape; v: number; d: number; padding: boolean } {
  const idShape = shapeOf(kernel, request, 'ids');
  const ids = hostOf(kernel, request, 'ids');
  const [v, d] = shapeOf(kernel, request, 'table', 2);
  if (ids.length !== sizeOf(idShape))
    throw new InputError(`${kernel}: input "ids" has ${ids.length} values for shape [${idShape}]`);
  const padding = request.params.padding ?? false;
  if (typeof padding !== 'boolean')
    throw new InputError(
      `${kernel}: parameter "padding" must be true or false, got ${JSON.stringify(padding)}`,
    );
  const lowest = padding ? -1 : 0;
  for (let row = 0; row < ids.length; row++)
    if (ids[row] < lowest || ids[row] >= v)
      throw new InputError(`${kernel}: ids row ${row} is ${ids[row]}, not in ${lowest}..${v - 1}`);
  return { ids, idShape, v, d, padding };
}

/**
 * out [..., d] = table [V, d], which may be stored as f16, at ids i32[...] (docs/spec.md#embedding); with the parameter
 * `padding`, 0 at an id of −1.
 * Gradient: grad_table [V, d], dense; rows that no id names are 0, the others are summed in the order of ids. What the host
 * makes for it grows with the ids, not with V.
 * Errors: an id outside 0..V−1, with its row.
 */
export const embedding: Kernel = {
  name: 'embedding',
  doc: 'out = the rows of table that ids name',
  inputs,
  outputs: [{ name: 'out', dtype: 'f32', shape: '[..., d]' }],
  params,
  tables: { ids: 'the host input ids, as it is' },
  plan(request) {
    const { ids, idShape, d, padding } = bind('embedding', request);
    const rows = padding ? ids.filter((id) => id >= 0).length : ids.length;
    const lanes = lanesFor(d);
    const f16 = isF16(request, 'table');
    const size = ids.length * d;
    return {
      dispatches:
        size === 0
          ? []
          : [
              {
                label: 'embedding',
                shader: embeddingWgsl,
                entryPoint: 'main',
                constants: { LANES: lanes, PADDING: Number(padding), F16: Number(f16) },
                bindings: [
                  { name: 'ids', access: 'read', tensor: 'ids' },
                  { name: 'table', access: 'read', tensor: 'table' },
                  { name: 'out', access: 'read_write', tensor: 'out' },
                ],
                uniforms: [size / lanes, d / lanes],
                workgroups: foldGrid(ceilDiv(size / lanes, 64), request.caps),
                macs: 0,
                flops: 0,
                bytesRead: (f16 ? 2 : 4) * rows * d + 4 * ids.length,
                bytesWritten: 4 * size,
              },
            ],
      scratch: {},
      outputs: { out: spec([...idShape, d]) },
      data: { ids },
    };
  },
  backward: {
    name: 'embedding-backward',
    doc: 'grad_table[v] = the sum of the rows of grad_out whose id is v',
    inputs: [...inputs, { name: 'grad_out', dtype: 'f32', shape: '[..., d]' }],
    outputs: [{ name: 'grad_table', dtype: 'f32', shape: '[V, d]' }],
    adds: ['grad_table'],
    params,
    tables: segmentTables(
      'grad_table',
      'a row of the table, in their order; where the table has 8 times the rows of ids or more, only those that ids name',
      'd times the place of each id that is not negative',
    ),
    plan(request) {
      const name = 'embedding-backward';
      const { ids, idShape, v, d } = bind(name, request);
      expectShape(name, 'grad_out', shapeOf(name, request, 'grad_out'), [...idShape, d]);
      const keys = ids.filter((id) => id >= 0);
      const items = new Int32Array(keys.length);
      let given = 0;
      for (let row = 0; row < ids.length; row++) if (ids[row] >= 0) items[given++] = row * d;
      const sparse = keys.length > 0 && d > 0 && v >= SPARSE * keys.length;
      const rows = sparse ? segmentsOfKeys(keys, items) : segmentsByKey(keys, items, v);
      const add = isAdded(request, 'grad_table');
      const sums = segmentSum(name, 'grad_out', d, rows, 'grad_table', request.caps, add);
      const cleared = sparse && !add ? [fill(name, 'grad_table', v * d, 0, request.caps)] : [];
      return {
        ...sums,
        dispatches: [...cleared, ...sums.dispatches],
        outputs: { grad_table: spec([v, d]) },
      };
    },
  },
};
