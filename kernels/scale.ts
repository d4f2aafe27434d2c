export { scale } from './shared/elementwise.ts';
