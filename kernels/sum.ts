export { sum } from './column-sum.ts';
