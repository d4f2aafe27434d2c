export { relativeError } from '../kernels/shared/relative-error.ts';
