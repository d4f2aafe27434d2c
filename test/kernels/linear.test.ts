import { random, testKernel, type Case } from './harness.ts';

const shapes: [rows: readonly number[], k: number, n: number][] = [
  [[1], 1, 1],
  [[0], 4, 4],
  [[3], 4, 0],
  [[7], 13, 5],
  [[2, 3], 8, 8],
  [[9], 64, 7],
  [[63], 64, 65],
  [[64], 16, 64],
  [[65], 12, 63],
  [[2, 67], 33, 36],
  [[300], 6, 4],
  [[1030], 6, 5], // on a GPU four parts of the weight's gradient
];
const cases: Case[] = shapes.map(([rows, k, n]) => ({
  name: `x [${rows},${k}], weight [${n},${k}]`,
  inputs: { x: random([...rows, k]), weight: random([n, k]), bias: random([n]) },
}));
for (const activation of ['relu', 'gelu', 'gelu_tanh', 'tanh', 'sigmoid', 'softplus'])
  cases.push({
    name: activation,
    inputs: { x: random([5, 12], 2), weight: random([9, 12]), bias: random([9]) },
    params: { activation },
  });
cases.push({ name: 'no bias', inputs: { x: random([10, 20]), weight: random([3, 20]) } });

testKernel('linear', cases);
