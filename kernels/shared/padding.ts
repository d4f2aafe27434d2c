/** Zeros where a batch has padding, after dispatches that computed anything there (shaders/clear-padding.wgsl). */
import { ceilDiv, foldGrid, sizeOf, type Caps, type Dispatch, type Shape } from '../plan.ts';
import clearPaddingWgsl from '../../shaders/clear-padding.wgsl';

/**
 * Writes 0 to the rows past the length of a tensor [..., B, L, width] or, with `square`, to the rows and columns past it
 * of [B, views, L, L]. Its `lengths` i32[B] must be among the plan's data. Nothing to do where all rows are whole.
 */
export function clearPadding(
  label: string,
  tensor: string,
  shape: Shape,
  lengths: Int32Array,
  caps: Caps,
  square = false,
): Dispatch[] {
  const [rows, width] = shape.slice(-2);
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  if (tokens === lengths.length * rows) return [];
  const size = sizeOf(shape);
  const inner = square ? shape[1] : 1;
  const squares = size / (lengths.length * rows * width);
  const valid = lengths.reduce((sum, length) => sum + length * (square ? length : width), 0);
  return [
    {
      label,
      shader: clearPaddingWgsl,
      entryPoint: 'main',
      constants: { SQUARE: Number(square) },
      bindings: [
        { name: 'lengths', access: 'read', tensor: 'lengths' },
        { name: 'x', access: 'read_write', tensor },
      ],
      uniforms: [size, rows, width, inner, lengths.length],
      workgroups: foldGrid(ceilDiv(size, 64), caps),
      macs: 0,
      flops: 0,
      bytesRead: 4 * lengths.length,
      bytesWritten: 4 * (size - squares * valid),
    },
  ];
}
