import { expand } from '../shaders/expand.ts';
import type { Dispatch } from './plan.ts';

/** The WGSL of a dispatch, specialised with its constants: all that another runtime needs besides the plan. */
export const wgslOf = ({ shader, constants }: Dispatch): string => expand(shader, constants);
