/**
 * What a matrix product can be asked to be: the built-in choice, or one form by the side of a lane's block (direct), of a
 * quad's tile (quads) or of a workgroup's (tiled).
 */
export const matmulForms = [
  ...(['default', 'direct-4', 'direct-8', 'direct-16', 'quads-16', 'quads-32'] as const),
  ...(['tiled-32', 'split-32', 'tiled-64', 'tiled-128'] as const),
];
export type MatmulForm = (typeof matmulForms)[number];

/** Forms by `shapeClass` (matmul.ts). */
export type MatmulTuning = Readonly<Record<string, MatmulForm>>;
