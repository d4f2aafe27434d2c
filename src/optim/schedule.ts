/**
 * Factor of the learning rate at a step: linear warm-up over the first `warmup` steps, then linear decay to 0 at
 * `total` (Hugging Face's linear schedule).
 * @param step from 0
 */
export function linearWarmupDecay(step: number, warmup: number, total: number): number {
  if (step < warmup) return step / Math.max(1, warmup);
  return Math.max(0, (total - step) / Math.max(1, total - warmup));
}
