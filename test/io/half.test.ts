import test from 'tape';
import { narrowToHalves, widenHalves } from '../../src/io/half.ts';

test('every f16 comes back as it was, and what lies between two goes to the nearer one, or to the even one', (t) => {
  const halves = Uint16Array.from({ length: 0x7c00 }, (_, bits) => bits);
  const floats = widenHalves(halves);
  t.deepEqual(narrowToHalves(floats), halves, 'the positive ones');
  t.deepEqual(
    narrowToHalves(floats.map((x) => -x)),
    halves.map((bits) => bits | 0x8000),
    'the negative ones',
  );
  t.equal(floats[0x3c01], 1 + 2 ** -10);
  t.equal(floats[1], 2 ** -24, 'the smallest');
  t.equal(floats[0x7bff], 65504, 'the largest');
  // Exact in f32: a half has 11 bits, f32 24.
  const between = (share: number): Uint16Array =>
    narrowToHalves(
      Float32Array.from({ length: 0x7bff }, (_, i) => floats[i] + share * (floats[i + 1] - floats[i])),
    );
  const expected = (up: (bits: number) => boolean): Uint16Array =>
    Uint16Array.from({ length: 0x7bff }, (_, bits) => bits + Number(up(bits)));
  t.deepEqual(
    between(0.5 - 2 ** -10),
    expected(() => false),
    'below the middle',
  );
  t.deepEqual(
    between(0.5),
    expected((bits) => bits % 2 === 1),
    'in the middle',
  );
  t.deepEqual(
    between(0.5 + 2 ** -10),
    expected(() => true),
    'above the middle',
  );
  t.end();
});

test('what f16 does not hold is infinite, or no number', (t) => {
  const bits = narrowToHalves(Float32Array.of(65519, 65520, 1e30, -Infinity, NaN, 2 ** -26));
  t.deepEqual([...bits], [0x7bff, 0x7c00, 0x7c00, 0xfc00, 0x7e00, 0]);
  t.deepEqual([...widenHalves(bits)], [65504, Infinity, Infinity, -Infinity, NaN, 0]);
  t.end();
});
