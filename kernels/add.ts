export { add } from './elementwise.ts';
