export { add } from './shared/elementwise.ts';
