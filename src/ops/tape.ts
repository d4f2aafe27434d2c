/**
 * The autograd tape: a flat list of operations in the order they ran. `backward` walks it once in reverse. Kernels
 * write gradients; the tape adds them where a tensor was used more than once, and accumulates into `grad` of leaves
 * until `grad` is cleared.
 */
import { SpanwiseError } from '../../kernels/errors.ts';
import { accumulate } from '../../kernels/shared/elementwise.ts';
import type { Runtime } from '../gpu/runtime.ts';
import type { GradientPlace, Node, Recorder, Tensor } from '../gpu/tensor.ts';

export class Tape implements Recorder {
  readonly #runtime: Runtime;
  readonly #nodes: Node[] = [];

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  record(node: Node): void {
    this.#nodes.push(node);
    for (const output of node.outputs) {
      output.requiresGrad = true;
      output.recorder = this;
    }
  }

  get length(): number {
    return this.#nodes.length;
  }

  /**
   * Gradients of a scalar loss for every leaf with `requiresGrad` that it depends on, added to `leaf.grad` (memory
   * label `gradients`). Each node's outputs are released as soon as its backward has run, except `retain`; so a tape can
   * be walked once. Errors: a loss that is not a scalar or was not recorded here, a gradient that is not finite.
   * @param gradient of the loss: what all gradients are multiplied with
   */
  backward(loss: Tensor, retain: readonly Tensor[] = [], gradient = 1): void {
    const runtime = this.#runtime;
    if (loss.size !== 1)
      throw new SpanwiseError(`backward: the loss must be a scalar, it is [${loss.shape}]`);
    if (!Number.isFinite(gradient))
      throw new SpanwiseError(`backward: the gradient of the loss must be finite, got ${gradient}`);
    if (loss.recorder !== this)
      throw new SpanwiseError('backward: the loss was not computed under this tape');
    const kept = new Set<Tensor>([loss, ...retain]);
    const recording = runtime.tape;
    runtime.tape = undefined;
    runtime.meter.phase = 'backward';
    try {
      loss.flow = runtime.upload(new Float32Array([gradient]), loss.shape, 'gradients');
      for (let at = this.#nodes.length - 1; at >= 0; at--) {
        const node = this.#nodes[at];
        this.#pass(node);
        for (const output of node.outputs) if (!kept.has(output)) output.release();
      }
    } finally {
      runtime.tape = recording;
      runtime.meter.phase = 'forward';
      this.end();
    }
  }

  /** The gradients of a node's inputs, where there are some of its outputs, which go. */
  #pass(node: Node): void {
    const { inputs, outputs } = node;
    const upstream: (Tensor | undefined)[] = new Array(outputs.length);
    let reached = false;
    for (let i = 0; i < outputs.length; i++) {
      const { flow } = outputs[i];
      upstream[i] = flow;
      if (flow) reached = true;
      outputs[i].flow = undefined;
    }
    if (!reached) return;
    const places: (GradientPlace | undefined)[] = new Array(inputs.length);
    for (let i = 0; i < inputs.length; i++)
      places[i] = inputs.indexOf(inputs[i]) === i ? this.#place(inputs[i]) : undefined;
    const grads = node.backward(upstream, places);
    for (let i = 0; i < inputs.length; i++) {
      const grad = grads[i];
      const place = places[i];
      if (grad && !(place?.add && grad === place.tensor)) this.#add(inputs[i], grad);
      if (place && !place.add && grad !== place.tensor) place.tensor.release();
    }
    for (const grad of upstream) grad?.release();
  }

  /** Forgets what was recorded. What is left of it is data: another tape must not take it for a parameter. */
  end(): void {
    for (const { outputs } of this.#nodes)
      for (const output of outputs) {
        output.requiresGrad = false;
        output.recorder = undefined;
        output.flow = undefined;
      }
    this.#nodes.length = 0;
  }

  /** Where a kernel may write the gradient of an input, or add it. */
  #place(input: Tensor): GradientPlace | undefined {
    const existing = input.recorder === this ? input.flow : input.grad;
    if (existing) return { tensor: existing, add: true };
    const tensor = input.home?.claim();
    return tensor && { tensor, add: false };
  }

  /** Fan-in of an activation, or accumulation into a leaf's `grad`. */
  #add(input: Tensor, grad: Tensor): void {
    const { home } = input;
    if (home?.parts) {
      const split = home.split(grad);
      home.parts.forEach((part, i) => this.#add(part, split[i]));
      return;
    }
    const leaf = input.recorder !== this;
    const existing = leaf ? input.grad : input.flow;
    if (existing) {
      this.#runtime.kernel(accumulate, { total: existing, x: grad });
      grad.release();
    } else if (leaf) input.grad = this.#runtime.keep(grad);
    else input.flow = grad;
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
