import test from 'tape';
import { defaultCaps, type Kernel, type Plan } from '../../kernels/plan.ts';
import { spanRepresentation } from '../../kernels/span-representation.ts';
import { random, testKernel, type Case } from './harness.ts';
import { allSpans, paddedRows, spanTensor, throwsOnBadSpans } from './spans.ts';

const cases: Case[] = [];
const add = (name: string, lengths: number[], l: number, d: number, maxWidth: number, dw: number, step = 1) =>
  cases.push({
    name: `${name}: lengths ${lengths.join(' ')} of ${l}, d ${d}, width ${maxWidth}, dw ${dw}`,
    inputs: {
      x: paddedRows(lengths, l, d),
      width_embedding: random([maxWidth, dw]),
      spans: spanTensor(allSpans(lengths, maxWidth).filter((_, s) => s % step === 0)),
    },
  });
add('one token', [1], 1, 1, 1, 1);
add('no span', [0, 0], 3, 4, 2, 4);
add('no sentence', [], 3, 4, 2, 4);
add('no width embedding', [3], 3, 4, 2, 0);
add('no hidden size', [3], 3, 0, 2, 4);
add('prime sizes', [7, 5], 7, 13, 3, 5);
add('vec4', [6, 4, 0], 6, 8, 4, 12);
add('vec4 tokens, odd widths', [9], 9, 8, 3, 25);
add('every seventh span', [16, 11], 17, 12, 9, 6, 7);
for (const d of [63, 64, 65]) add('about a workgroup', [5], 5, d, 2, 4);
add('over 64 spans a width: slabs', [70, 65], 70, 4, 2, 3);
cases.push({
  name: 'the same span 4,200 times: two levels of slabs',
  inputs: {
    x: random([1, 3, 2]),
    width_embedding: random([2, 1]),
    spans: spanTensor([...new Array<number[]>(4200).fill([0, 0, 2]), [0, 2, 3]]),
  },
});
testKernel('span-representation', cases);

test('span-representation: spans that are none of x', (t) => {
  throwsOnBadSpans(t, spanRepresentation, { x: [2, 4, 3], width_embedding: [2, 1] });
  t.end();
});

test('span-representation: only the wanted gradient is planned', (t) => {
  const planOf = (wanted: string[]): Plan =>
    (spanRepresentation.backward as Kernel).plan({
      shapes: { x: [1, 4, 3], width_embedding: [2, 1], spans: [1, 3], grad_out: [1, 7] },
      params: {},
      caps: defaultCaps,
      host: { spans: Int32Array.of(0, 1, 3) },
      wanted,
    });
  t.deepEqual(Object.keys(planOf(['grad_x']).outputs), ['grad_x']);
  t.deepEqual(Object.keys(planOf(['grad_width_embedding']).outputs), ['grad_width_embedding']);
  t.end();
});
