export { relativeError } from '../kernels/reference/relative-error.ts';
