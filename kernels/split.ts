/** `split`: a tensor's last axis cut into up to seven tensors; the inverse of `concat`, whose copy it is. */
import { InputError } from './errors.ts';
import { copyColumns, MAX_PARTS, type Columns } from './concat.ts';
import {
  expectShape,
  shapeOf,
  sizeOf,
  spec,
  type Kernel,
  type ParamSpec,
  type PlanRequest,
  type Port,
} from './plan.ts';

const outputs: readonly Port[] = Array.from({ length: MAX_PARTS }, (_, i) => ({
  name: `out${i}`,
  dtype: 'f32',
  shape: `[..., widths[${i}]]`,
  optional: i > 0,
}));
const params: readonly ParamSpec[] = [{ name: 'widths', doc: 'columns of each output, one to seven' }];

/** The parts by the names of their tensors. Errors: widths that are not positive integers, or too many of them. */
function columnsOf(kernel: string, request: PlanRequest, prefix: string): Columns[] {
  const { widths } = request.params;
  const whole = (width: unknown): width is number => Number.isInteger(width) && (width as number) >= 1;
  if (!Array.isArray(widths) || widths.length < 1 || widths.length > MAX_PARTS || !widths.every(whole))
    throw new InputError(
      `${kernel}: parameter "widths" must be one to ${MAX_PARTS} positive integers, got ${JSON.stringify(widths)}`,
    );
  let start = 0;
  return widths.map((width, i) => {
    const columns = { tensor: `${prefix}${i}`, start, width };
    start += width;
    return columns;
  });
}

const totalOf = (parts: readonly Columns[]): number => parts.reduce((sum, { width }) => sum + width, 0);

/**
 * out0 [..., widths[0]], out1 [..., widths[1]], … = the columns of x [..., N] in order. Gradient: grad_out0, … side by
 * side. Errors: widths, and those that do not add up to N.
 */
export const split: Kernel = {
  name: 'split',
  doc: 'out0, out1, … = the columns of x in order, widths[i] of them each',
  inputs: [{ name: 'x', dtype: 'f32', shape: '[..., N]' }],
  outputs,
  params,
  plan(request) {
    const shape = shapeOf('split', request, 'x');
    const parts = columnsOf('split', request, 'out');
    const total = totalOf(parts);
    if (shape[shape.length - 1] !== total)
      throw new InputError(`split: input "x" [${shape}] does not end in ${total}, the sum of "widths"`);
    const leading = shape.slice(0, -1);
    return {
      dispatches: copyColumns('split', 'x', sizeOf(leading), total, parts, true, request.caps),
      scratch: {},
      outputs: Object.fromEntries(parts.map(({ tensor, width }) => [tensor, spec([...leading, width])])),
      data: {},
    };
  },
  backward: {
    name: 'split-backward',
    doc: 'grad_x = grad_out0, grad_out1, … side by side',
    inputs: outputs.map((port) => ({ ...port, name: `grad_${port.name}` })),
    outputs: [{ name: 'grad_x', dtype: 'f32', shape: '[..., N]' }],
    params,
    plan(request) {
      const name = 'split-backward';
      const parts = columnsOf(name, request, 'grad_out');
      const leading = shapeOf(name, request, 'grad_out0').slice(0, -1);
      for (const { tensor, width } of parts)
        expectShape(name, tensor, shapeOf(name, request, tensor), [...leading, width]);
      const total = totalOf(parts);
      return {
        dispatches: copyColumns(name, 'grad_x', sizeOf(leading), total, parts, false, request.caps),
        scratch: {},
        outputs: { grad_x: spec([...leading, total]) },
        data: {},
      };
    },
  },
};
