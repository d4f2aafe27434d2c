/** Counts the copies between buffers that anybody encodes on a device: reading elements takes one, sharing buffers none. */
export function countCopies(device) {
  const counted = { copies: 0 };
  const create = device.createCommandEncoder.bind(device);
  device.createCommandEncoder = (descriptor) => {
    const encoder = create(descriptor);
    const copy = encoder.copyBufferToBuffer.bind(encoder);
    encoder.copyBufferToBuffer = (...args) => {
      counted.copies++;
      copy(...args);
    };
    return encoder;
  };
  return counted;
}

/** Numbers for the examples: as many as the shape asks for, the same every time. */
export const wave = (shape, frequency) =>
  Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => Math.sin(frequency * (i + 1)));
