export { AdamW, type AdamWOptions } from './adamw.ts';
export { clipGradNorm } from './clip.ts';
export { GradScaler, type ScaledStep, type ScalerState } from './grad-scaler.ts';
export { linearWarmupDecay } from './schedule.ts';
