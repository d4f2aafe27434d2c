/** Writes ONNX models: the few fields of onnx.proto3 (github.com/onnx/onnx) that a graph of operators needs. */
import type { PeerTensor } from './peer.ts';

const OPSET = 21;
const IR_VERSION = 10;
/** TensorProto.DataType. */
const FLOAT = 1;
const INT32 = 6;
const INT64 = 7;
/** AttributeProto.AttributeType. */
const ATTRIBUTE = { float: 1, int: 2, ints: 7 };

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return Buffer.from([...bytes, Number(rest)]);
}
const tag = (field: number, wire: number): Buffer => varint(field * 8 + wire);
const int = (field: number, value: number): Buffer => Buffer.concat([tag(field, 0), varint(value)]);
const bytes = (field: number, ...parts: (Buffer | string)[]): Buffer => {
  const content = Buffer.concat(parts.map((part) => Buffer.from(part)));
  return Buffer.concat([tag(field, 2), varint(content.length), content]);
};
function float(field: number, value: number): Buffer {
  const four = Buffer.alloc(4);
  four.writeFloatLE(value);
  return Buffer.concat([tag(field, 5), four]);
}

/** A whole number, whole numbers, or `{ float }`. */
export type Attribute = number | readonly number[] | { readonly float: number };

function attribute(name: string, value: Attribute): Buffer {
  if (typeof value === 'number') return bytes(5, bytes(1, name), int(3, value), int(20, ATTRIBUTE.int));
  if ('float' in value) return bytes(5, bytes(1, name), float(2, value.float), int(20, ATTRIBUTE.float));
  return bytes(5, bytes(1, name), ...value.map((v) => int(8, v)), int(20, ATTRIBUTE.ints));
}

function valueInfo(name: string, { shape, data }: PeerTensor): Buffer[] {
  const dims = shape.map((d) => bytes(1, int(1, d)));
  const type = bytes(1, int(1, data instanceof Int32Array ? INT32 : FLOAT), bytes(2, ...dims));
  return [bytes(1, name), bytes(2, type)];
}

/** A graph under construction; operators return the names of their results. */
export class OnnxGraph {
  readonly #nodes: Buffer[] = [];
  readonly #constants: Buffer[] = [];
  #names = 0;

  #name(): string {
    return `t${this.#names++}`;
  }

  /** A float constant of shape [1]. */
  scalar(value: number): string {
    const name = this.#name();
    const data = Buffer.from(Float32Array.of(value).buffer);
    this.#constants.push(bytes(5, int(1, 1), int(2, FLOAT), bytes(8, name), bytes(9, data)));
    return name;
  }

  /** A constant int64 vector, such as a shape or axes. */
  ints(values: readonly number[]): string {
    const name = this.#name();
    const data = Buffer.from(BigInt64Array.from(values.map(BigInt)).buffer);
    this.#constants.push(bytes(5, int(1, values.length), int(2, INT64), bytes(8, name), bytes(9, data)));
    return name;
  }

  /** An operator with one result, which is called `as` where that is given. */
  op(
    type: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>> = {},
    as = this.#name(),
  ): string {
    this.#nodes.push(
      bytes(
        1,
        ...inputs.map((input) => bytes(1, input)),
        bytes(2, as),
        bytes(4, type),
        ...Object.entries(attributes).map(([name, value]) => attribute(name, value)),
      ),
    );
    return as;
  }

  /** The model, serialised. Outputs have no declared shape: the runtime infers it. */
  model(inputs: Readonly<Record<string, PeerTensor>>, outputs: readonly string[]): Uint8Array {
    const graph = bytes(
      7,
      ...this.#nodes,
      bytes(2, 'case'),
      ...this.#constants,
      ...Object.entries(inputs).map(([name, tensor]) => bytes(11, ...valueInfo(name, tensor))),
      ...outputs.map((name) => bytes(12, bytes(1, name), bytes(2, bytes(1, int(1, FLOAT))))),
    );
    return new Uint8Array(Buffer.concat([int(1, IR_VERSION), graph, bytes(8, bytes(1, ''), int(2, OPSET))]));
  }
}
