/** IEEE binary16, f16, on the host: its bits in a Uint16Array. */

/**
 * f16 → f32, exactly. The fraction moves up by 13 bits; read with binary32's exponent bias the value is
 * 2^(127-15) too small, for normal and subnormal numbers alike; Inf and NaN take the all-ones exponent instead.
 */
export function widenHalves(halves: Uint16Array): Float32Array {
  const floats = new Float32Array(halves.length);
  const bits = new Uint32Array(floats.buffer);
  for (let i = 0; i < halves.length; i++) {
    const half = halves[i];
    bits[i] = ((half & 0x8000) << 16) | ((half & 0x7fff) << 13);
    if ((half & 0x7c00) === 0x7c00) bits[i] |= 0x7f800000;
    else floats[i] *= 2 ** 112;
  }
  return floats;
}

/** f32 → f16, to the nearest, of two to the even one; from 65,520 on infinite. */
export function narrowToHalves(floats: Float32Array): Uint16Array {
  const halves = new Uint16Array(floats.length);
  const bits = new Uint32Array(floats.buffer, floats.byteOffset, floats.length);
  const sum = new Float32Array(1);
  const sumBits = new Uint32Array(sum.buffer);
  for (let i = 0; i < halves.length; i++) {
    const magnitude = bits[i] & 0x7fffffff;
    let half: number;
    if (magnitude > 0x7f800000) half = 0x7e00;
    else if (magnitude >= 0x47800000) half = 0x7c00;
    else if (magnitude >= 0x38800000) half = (magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1)) >> 13;
    else {
      // Subnormal, a multiple of 2^-24: the ulp of 1/2 in f32, which the addition rounds to.
      sum[0] = Math.abs(floats[i]) + 0.5;
      half = sumBits[0] - 0x3f000000;
    }
    halves[i] = half | ((bits[i] >>> 16) & 0x8000);
  }
  return halves;
}
