// Four f16, two a word, the first in its low half, as f32.
fn widened(words: vec2u) -> vec4f { return vec4f(unpack2x16float(words.x), unpack2x16float(words.y)); }

// To the nearest f16, of two to the even one. In integers, since pack2x16float may round to either side and gives anything for
// what is beyond f16: that is infinite, from 65,520 on, and a NaN stays one.
fn narrowed(x: vec4f) -> vec2u {
  let bits = bitcast<vec4u>(x);
  let magnitude = bits & vec4u(0x7fffffffu);
  // Numbers below 2^-14 lie 2^-24 apart: a fraction with its leading 1 loses more than 13 bits.
  let normal = magnitude >= vec4u(0x38800000u);
  let fraction = select((magnitude & vec4u(0x7fffffu)) | vec4u(0x800000u), magnitude - vec4u(0x38000000u), normal);
  let lost = select(min(vec4u(126u) - (magnitude >> vec4u(23u)), vec4u(25u)), vec4u(13u), normal);
  let odd = (fraction >> lost) & vec4u(1u);
  var half = (fraction + (vec4u(1u) << (lost - vec4u(1u))) - vec4u(1u) + odd) >> lost;
  half = select(half, vec4u(0x7c00u), magnitude >= vec4u(0x47800000u));
  half = select(half, vec4u(0x7e00u), magnitude > vec4u(0x7f800000u)) | ((bits >> vec4u(16u)) & vec4u(0x8000u));
  return half.xz | (half.yw << vec2u(16u));
}
