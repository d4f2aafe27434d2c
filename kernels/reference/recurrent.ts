import { InputError } from '../errors.ts';
import { bindShapes, checkLengths, upstream, zeros } from './shapes.ts';
import type { Reference, RefParams, RefTensor, RefTensors } from './types.ts';

/**
 * One step of a recurrent cell for one row. `fromInput` = W_ih x + b_ih and `fromHidden` = W_hh h + b_hh are the
 * gates [gates·h] in PyTorch's order; `states` are the cell's vectors of size h, the hidden one first.
 */
export interface Step {
  fromInput: Float64Array;
  fromHidden: Float64Array;
  states: Float64Array[];
}

/** A recurrent cell: its number of gates and of state vectors, one step, and the step's gradient. */
export interface Cell {
  gates: number;
  states: number;
  /** The states after the step, each [h]. */
  forward(step: Step): Float64Array[];
  /**
   * The gradients of what went into the step, from those of the states after it, each [h]. The gradient of `states` is
   * the part that does not pass through `fromHidden`.
   */
  backward(step: Step, gradStates: Float64Array[]): Step;
}

/** matrix [N,K] · vector [K] + bias [N]. */
function affine(matrix: RefTensor, vector: Float64Array, bias: RefTensor): Float64Array {
  const K = vector.length;
  return Float64Array.from(bias.data, (start, n) =>
    vector.reduce((sum, value, k) => sum + matrix.data[n * K + k] * value, start),
  );
}

/** Adds the gradients of `affine` to those of its matrix and bias, and that of its vector to `gradVector`. */
function affineBackward(
  matrix: RefTensor,
  vector: Float64Array,
  grad: Float64Array,
  gradMatrix: RefTensor,
  gradVector: Float64Array,
  gradBias: RefTensor,
): void {
  const K = vector.length;
  grad.forEach((g, n) => {
    gradBias.data[n] += g;
    for (let k = 0; k < K; k++) {
      gradMatrix.data[n * K + k] += g * vector[k];
      gradVector[k] += g * matrix.data[n * K + k];
    }
  });
}

/** The reference of a recurrent kernel: `cell` run over the valid tokens of each row, in one or both directions. */
export function recurrentReference(kernel: string, cell: Cell): Reference {
  const suffixesOf = (params: RefParams): string[] => {
    const bidirectional = params.bidirectional ?? false;
    if (typeof bidirectional !== 'boolean') {
      throw new InputError(
        `${kernel}: param bidirectional must be true or false, got ${JSON.stringify(bidirectional)}`,
      );
    }
    return bidirectional ? ['', '_reverse'] : [''];
  };

  const bind = (inputs: RefTensors, params: RefParams) => {
    const suffixes = suffixesOf(params);
    const patterns: Record<string, string> = { x: 'B L d', lengths: 'i32 B' };
    for (const suffix of suffixes) {
      patterns[`weight_ih_l0${suffix}`] = 'gates d';
      patterns[`weight_hh_l0${suffix}`] = 'gates h';
      patterns[`bias_ih_l0${suffix}`] = 'gates';
      patterns[`bias_hh_l0${suffix}`] = 'gates';
    }
    const { B, L, d, h, gates } = bindShapes(kernel, inputs, patterns);
    if (gates !== cell.gates * h) {
      throw new InputError(
        `${kernel}: weight_hh_l0 has shape [${gates},${h}], expected [${cell.gates * h},${h}]`,
      );
    }
    checkLengths(kernel, inputs.lengths, L);
    return { B, L, d, h, suffixes, width: suffixes.length * h };
  };

  const initialStates = (h: number): Float64Array[] =>
    Array.from({ length: cell.states }, () => new Float64Array(h));

  /** The steps of row b in one direction, in the order they are run. */
  const runRow = (inputs: RefTensors, suffix: string, b: number, L: number, d: number, h: number) => {
    const length = inputs.lengths.data[b];
    let states = initialStates(h);
    return Array.from({ length }, (_, t) => {
      // The reverse direction starts at the row's last valid token, so no padded token is ever read.
      const token = b * L + (suffix ? length - 1 - t : t);
      const input = Float64Array.from(inputs.x.data.subarray(token * d, (token + 1) * d));
      const step = {
        fromInput: affine(inputs[`weight_ih_l0${suffix}`], input, inputs[`bias_ih_l0${suffix}`]),
        fromHidden: affine(inputs[`weight_hh_l0${suffix}`], states[0], inputs[`bias_hh_l0${suffix}`]),
        states,
      };
      states = cell.forward(step);
      return { ...step, token, input, output: states[0] };
    });
  };

  return {
    forward(inputs, params) {
      const { B, L, d, h, suffixes, width } = bind(inputs, params);
      const out = zeros([B, L, width]);
      suffixes.forEach((suffix, direction) => {
        for (let b = 0; b < B; b++) {
          for (const { token, output } of runRow(inputs, suffix, b, L, d, h)) {
            out.data.set(output, token * width + direction * h);
          }
        }
      });
      return { out };
    },

    backward(inputs, params, grads) {
      const { B, L, d, h, suffixes, width } = bind(inputs, params);
      const gradOut = upstream(kernel, grads, 'out', [B, L, width]);
      const gradX = zeros(inputs.x.shape);
      const result: RefTensors = { grad_x: gradX };
      suffixes.forEach((suffix, direction) => {
        const [weightIh, weightHh, biasIh, biasHh] = ['weight_ih', 'weight_hh', 'bias_ih', 'bias_hh'].map(
          (part) => {
            const name = `${part}_l0${suffix}`;
            result[`grad_${name}`] = zeros(inputs[name].shape);
            return { value: inputs[name], grad: result[`grad_${name}`] };
          },
        );
        for (let b = 0; b < B; b++) {
          let gradStates = initialStates(h);
          for (const step of runRow(inputs, suffix, b, L, d, h).reverse()) {
            const first = step.token * width + direction * h;
            gradStates[0].forEach((_, i) => (gradStates[0][i] += gradOut[first + i]));
            const stepGrads = cell.backward(step, gradStates);
            const gradInput = gradX.data.subarray(step.token * d, (step.token + 1) * d);
            affineBackward(
              weightIh.value,
              step.input,
              stepGrads.fromInput,
              weightIh.grad,
              gradInput,
              biasIh.grad,
            );
            const [gradHidden] = stepGrads.states;
            affineBackward(
              weightHh.value,
              step.states[0],
              stepGrads.fromHidden,
              weightHh.grad,
              gradHidden,
              biasHh.grad,
            );
            gradStates = stepGrads.states;
          }
        }
      });
      return result;
    },
  };
}
