// A NaN spreads over its row, as in PyTorch. By WGSL's rules max may drop it and exp and log may make a number of it (in
// SwiftShader infinity and 89), and a compiler may hold that x != x is false: it is told by its bits.
fn is_nan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }
fn is_nan4(x: vec4f) -> vec4<bool> { return (bitcast<vec4u>(x) & vec4u(0x7fffffffu)) > vec4u(0x7f800000u); }

// y, which was made from x; x itself where it is NaN.
fn or_nan(y: f32, x: f32) -> f32 { return select(y, x, is_nan(x)); }
fn or_nan4(y: vec4f, x: vec4f) -> vec4f { return select(y, x, is_nan4(x)); }
