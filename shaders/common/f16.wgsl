// Four f16, two a word, the first in its low half, as f32.
fn widened(words: vec2u) -> vec4f { return vec4f(unpack2x16float(words.x), unpack2x16float(words.y)); }

// To the nearest f16, of two to the even one. By hand, since pack2x16float may round to either side and gives anything for what
// is beyond f16: that is infinite, from 65,520 on, and a NaN stays one.
fn narrowed(x: vec4f) -> vec2u {
  let bits = bitcast<vec4u>(x);
  let magnitude = bits & vec4u(0x7fffffffu);
  // The exponent's bias is 112 less. 13 bits of the fraction go; before, half of the last that stays is added, less 1 if that is 0.
  let odd = (magnitude >> vec4u(13u)) & vec4u(1u);
  let normal = min((magnitude - vec4u(0x38000000u) + vec4u(0xfffu) + odd) >> vec4u(13u), vec4u(0x7c00u));
  // Below 2^-14 f16 are 2^-24 apart, as f32 from 1/2 on: the addition rounds.
  let subnormal = bitcast<vec4u>(abs(x) + vec4f(0.5)) - vec4u(0x3f000000u);
  var half = select(subnormal, normal, magnitude >= vec4u(0x38800000u));
  half = select(half, vec4u(0x7e00u), magnitude > vec4u(0x7f800000u)) | ((bits >> vec4u(16u)) & vec4u(0x8000u));
  return half.xz | (half.yw << vec2u(16u));
}
