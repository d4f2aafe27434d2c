export { mul } from './elementwise.ts';
