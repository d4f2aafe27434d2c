/** What a matrix product can be asked to be: blocks of a lane in the direct form, sides of a tile, or the built-in choice. */
export const matmulForms = ['default', 'direct-4', 'direct-8', 'direct-16', 'tiled-32', 'tiled-64'] as const;
export type MatmulForm = (typeof matmulForms)[number];

/** Forms by `shapeClass` (matmul.ts). */
export type MatmulTuning = Readonly<Record<string, MatmulForm>>;
