export { scale } from './elementwise.ts';
