/** The parameters of a model by shape alone: for counting a model of any size without a device. */
import type { Shape } from '../../kernels/plan.ts';
import type { Runtime } from '../gpu/runtime.ts';
import type { Tensor } from '../gpu/tensor.ts';
import { Parameters, randomSource } from './parameters.ts';

class ShapeRecorder extends Parameters {
  readonly #shapes: Map<string, Shape>;
  readonly #path: string;

  constructor(shapes: Map<string, Shape>, path = '') {
    // Constructors of models only keep what `take` gives them: neither a runtime nor a tensor is ever used.
    super(undefined as unknown as Runtime, randomSource(0));
    this.#shapes = shapes;
    this.#path = path;
  }

  override in(name: string): Parameters {
    return new ShapeRecorder(this.#shapes, `${this.#path}${name}.`);
  }

  override take(name: string, shape: Shape): Tensor {
    this.#shapes.set(this.#path + name, shape);
    return undefined as unknown as Tensor;
  }

  override join(): undefined {
    return undefined;
  }
}

/** Names and shapes of the parameters that `build` takes, in its order; what it builds cannot run. */
export function parameterShapes(build: (parameters: Parameters) => unknown): Map<string, Shape> {
  const shapes = new Map<string, Shape>();
  build(new ShapeRecorder(shapes));
  return shapes;
}
