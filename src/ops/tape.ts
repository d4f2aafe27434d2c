/**
 * The autograd tape: a flat list of operations in the order they ran. `backward` walks it once in reverse. Kernels
 * write gradients; the tape adds them where a tensor was used more than once, and accumulates into `grad` of leaves
 * until `grad` is cleared.
 */
import { SpanwiseError } from '../../kernels/errors.ts';
import { accumulate } from '../../kernels/elementwise.ts';
import type { Runtime } from '../gpu/runtime.ts';
import type { GradientPlace, Node, Recorder, Tensor } from '../gpu/tensor.ts';

export class Tape implements Recorder {
  readonly #runtime: Runtime;
  readonly #nodes: Node[] = [];
  readonly #made = new Set<Tensor>();

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  record(node: Node): void {
    this.#nodes.push(node);
    for (const output of node.outputs) {
      output.requiresGrad = true;
      this.#made.add(output);
    }
  }

  get length(): number {
    return this.#nodes.length;
  }

  /**
   * Gradients of a scalar loss for every leaf with `requiresGrad` that it depends on, added to `leaf.grad` (memory
   * label `gradients`). Each node's outputs and saved tensors are released as soon as its backward has run, except
   * `retain`; so a tape can be walked once. Errors: a loss that is not a scalar or was not recorded here.
   */
  backward(loss: Tensor, retain: readonly Tensor[] = []): void {
    const runtime = this.#runtime;
    if (loss.size !== 1)
      throw new SpanwiseError(`backward: the loss must be a scalar, it is [${loss.shape}]`);
    if (!this.#made.has(loss)) throw new SpanwiseError('backward: the loss was not computed under this tape');
    const kept = new Set<Tensor>([loss, ...retain]);
    const grads = new Map<Tensor, Tensor>([
      [loss, runtime.upload(new Float32Array([1]), loss.shape, 'gradients')],
    ]);
    const recording = runtime.tape;
    runtime.tape = undefined;
    runtime.meter.phase = 'backward';
    try {
      for (const node of this.#nodes.splice(0).reverse()) {
        const upstream = node.outputs.map((output) => grads.get(output));
        if (upstream.some((grad) => grad)) {
          const places = node.inputs.map((input, i) =>
            node.inputs.indexOf(input) === i ? this.#place(grads, input) : undefined,
          );
          const inputGrads = node.backward(upstream, places);
          node.inputs.forEach((input, i) => {
            const [grad, place] = [inputGrads[i], places[i]];
            if (grad && !(place?.add && grad === place.tensor)) this.#add(grads, input, grad);
            if (place && !place.add && grad !== place.tensor) place.tensor.release();
          });
          for (const grad of upstream) grad?.release();
        }
        for (const output of node.outputs) grads.delete(output);
        for (const tensor of [...node.outputs, ...node.saved]) if (!kept.has(tensor)) tensor.release();
      }
    } finally {
      runtime.tape = recording;
      runtime.meter.phase = 'forward';
      this.end();
    }
  }

  /** Forgets what was recorded. What is left of it is data: another tape must not take it for a parameter. */
  end(): void {
    this.#nodes.length = 0;
    for (const tensor of this.#made) tensor.requiresGrad = false;
    this.#made.clear();
  }

  /** Where a kernel may write the gradient of an input, or add it. */
  #place(grads: Map<Tensor, Tensor>, input: Tensor): GradientPlace | undefined {
    const existing = this.#made.has(input) ? grads.get(input) : input.grad;
    if (existing) return { tensor: existing, add: true };
    const tensor = input.home?.claim();
    return tensor && { tensor, add: false };
  }

  /** Fan-in of an activation, or accumulation into a leaf's `grad`. */
  #add(grads: Map<Tensor, Tensor>, input: Tensor, grad: Tensor): void {
    const parts = input.home?.parts;
    if (parts) {
      let first = 0;
      for (const part of parts) {
        this.#add(grads, part, grad.slice(first, part.shape));
        first += part.size;
      }
      grad.release();
      return;
    }
    const leaf = !this.#made.has(input);
    const existing = leaf ? input.grad : grads.get(input);
    if (existing) {
      this.#runtime.kernel(accumulate, { total: existing, x: grad });
      grad.release();
    } else if (leaf) input.grad = this.#runtime.keep(grad);
    else grads.set(input, grad);
  }
}

/**
 * Records the operations that `body` runs on tensors that require gradients. Tapes do not nest.
 * @returns what `body` returns, and the tape to call `backward` on.
 */
export async function record<T>(
  runtime: Runtime,
  body: () => T | Promise<T>,
): Promise<{ result: T; tape: Tape }> {
  if (runtime.tape) throw new SpanwiseError('record: a tape is recording already');
  const tape = new Tape(runtime);
  runtime.tape = tape;
  try {
    return { result: await body(), tape };
  } catch (error) {
    tape.end();
    throw error;
  } finally {
    runtime.tape = undefined;
  }
}

/** Runs `body` without recording it, whatever records around it: what it computes is data to that tape. */
export function untracked<T>(runtime: Runtime, body: () => T): T {
  const { tape } = runtime;
  runtime.tape = undefined;
  try {
    return body();
  } finally {
    runtime.tape = tape;
  }
}
