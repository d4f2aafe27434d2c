import { expand } from '../shaders/expand.ts';
import { sources } from '../shaders/index.ts';
import type { Dispatch } from './plan.ts';

/** The WGSL of a dispatch, specialised with its constants: all that another runtime needs besides the plan. */
export const wgslOf = (dispatch: Dispatch): string => expand(dispatch.shader, dispatch.constants, sources);
