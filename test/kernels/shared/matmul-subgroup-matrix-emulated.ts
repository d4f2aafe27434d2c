/** The WGSL of products by the matrices of subgroups for a device without them: each lane multiplies its subgroup's by loops. */
import type { Shader } from '../../../kernels/plan.ts';

/** Lanes of a subgroup as it is emulated; the shader's LANES may be more, as where a device has smaller subgroups too. */
export const EMULATED_LANES = 4;

const functions = `
struct Operand { at: u32, stride: u32 } // where it is staged, not copied
struct Sums { e: array<f32, $(M * N / 4)> } // of a lane: a quarter of the rows
var<private> own: u32; // which quarter

fn multiply(left: Operand, right: Operand, sums: ptr<function, Sums>) {
  for (var i = 0u; i < $(M * N / 4)u; i += 1u) {
    let a = left.at + (own * $(M / 4)u + i / $(N)u) * left.stride;
    let b = right.at + i % $(N)u * right.stride;
    for (var s = 0u; s < $(K)u; s += 1u) { (*sums).e[i] += a_tile[a + s] * b_tile[b + s]; }
  }
}

fn hand_over(offset: u32, sums: ptr<function, Sums>, stride: u32) {
  for (var i = 0u; i < $(M * N / 4)u; i += 1u) {
    c_part[offset + (own * $(M / 4)u + i / $(N)u) * stride + i % $(N)u] = (*sums).e[i];
  }
}
`;

/** What stands for what. Types are matched whole: sides in another order would not be found, and the text not compile. */
const replacements: readonly (readonly [RegExp, string])[] = [
  [/^(enable .*\n)+/m, functions],
  [/array<f16, /g, 'array<f32, '],
  [/\bf16\(/g, 'f32('],
  [
    /, @builtin\(subgroup_id\) part: u32\) \{/,
    `) {\n  own = lane % ${EMULATED_LANES}u;\n  let part = lane / ${EMULATED_LANES}u;`,
  ],
  [/^alias Left = subgroup_matrix_left<f16, \$K, \$M>;\n/m, ''],
  [/^alias Right = subgroup_matrix_right<f16, \$N, \$K>;\n/m, ''],
  [/^alias Sums = subgroup_matrix_result<f32, \$N, \$M>;\n/m, ''],
  [/subgroupMatrixLoad<Left, row_major>\(&a_tile, /g, 'Operand('],
  [/subgroupMatrixLoad<Right, col_major>\(&b_tile, /g, 'Operand('],
  [/(sum_\$.*) = subgroupMatrixMultiplyAccumulate\((.*, )\1\);/, 'multiply($2&$1);'],
  [/subgroupMatrixStore<row_major>\(&c_part, (.*, )sum_/, 'hand_over($1&sum_'],
];

/** Operands are not rounded: for those that f16 holds. */
export const emulated = (shader: Shader): Shader => ({
  ...shader,
  text: replacements.reduce((text, [what, by]) => text.replace(what, by), shader.text),
});
