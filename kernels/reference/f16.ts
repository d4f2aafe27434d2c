/** The f16 nearest to a number, of two alike the even one; infinite from 65,520 on. */
export function nearestF16(x: number): number {
  const magnitude = Math.abs(x);
  if (!(magnitude > 0 && magnitude < Infinity)) return x;
  const ulp = 2 ** (Math.max(-14, Math.floor(Math.log2(magnitude))) - 10);
  const down = Math.floor(magnitude / ulp);
  const over = magnitude / ulp - down;
  const nearest = ulp * (down + Number(over > 0.5 || (over === 0.5 && down % 2 === 1)));
  return Math.sign(x) * (nearest > 65504 ? Infinity : nearest);
}
