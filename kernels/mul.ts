export { mul } from './shared/elementwise.ts';
