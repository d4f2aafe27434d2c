export { AdamW, type AdamWOptions } from './adamw.ts';
export { clipGradNorm } from './clip.ts';
export { linearWarmupDecay } from './schedule.ts';
