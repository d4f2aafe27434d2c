/** What every engine is asked, the same module everywhere: kernels against float64, a training, an extraction. Browser-safe. */
import {
  loadModel,
  memoryStorage,
  openDevice,
  parseSpertJson,
  Runtime,
  stsn,
  train,
  verifyKernel,
  type DeviceInfo,
  type Extraction,
  type Verification,
} from '../../src/index.ts';

/** What is asked. */
export interface Asked {
  kernels: readonly string[];
  /** Steps of the training. */
  steps: number;
  /** Extracted from by the checkpoint. */
  texts: readonly string[];
}

/** The files that come with the suite. */
export interface Files {
  /** SpERT-style JSON: what is trained on. */
  corpus: Uint8Array;
  /** Of a model's folder, by name. */
  checkpoint: Readonly<Record<string, Uint8Array>>;
}

/** What came out; plain JSON. */
export interface Answer {
  device: DeviceInfo;
  kernels: Verification[];
  /** One a step. */
  losses: number[];
  extractions: Extraction[];
  seconds: number;
}

/** All of STSN, as small as it can be. */
const tinyStsn = {
  ...{ layers: 1, heads: 2, widthEmbeddingSize: 4, maxSpanWidth: 6 },
  encoder: {
    ...{ model_type: 'bert', hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2 },
    intermediate_size: 16,
  },
};
const BATCH = 4;

/** The loss of each step of a training from random weights, which every engine draws alike. */
async function trainingLosses(runtime: Runtime, corpus: Uint8Array, steps: number): Promise<number[]> {
  const sentences = parseSpertJson(new TextDecoder().decode(corpus), 'corpus');
  const losses: number[] = [];
  await train(
    stsn,
    { sentences: sentences.slice(0, steps * BATCH), file: 'corpus', notes: [] },
    {
      ...{ runtime, storage: memoryStorage(), config: tinyStsn },
      recipe: { epochs: 1, batch: BATCH, lr: 1e-3, seed: 1, negativeSpans: 20 },
      onEvent: (event) => {
        if (event.event === 'step') losses.push(Number(event.loss));
      },
    },
  );
  return losses;
}

async function extractions(runtime: Runtime, files: Files['checkpoint'], texts: readonly string[]) {
  const model = await loadModel(runtime, (name) => Promise.resolve(files[name]));
  try {
    return await model.extract(texts);
  } finally {
    model.release();
  }
}

/**
 * Runs the suite on an engine's WebGPU.
 * @throws DeviceUnavailableError where it has no adapter; what else an engine throws
 */
export async function runSuite(gpu: GPU, asked: Asked, files: Files): Promise<Answer> {
  const started = performance.now();
  const runtime = new Runtime(await openDevice(gpu));
  try {
    const verified: Verification[] = [];
    for (const name of asked.kernels) {
      const result = await verifyKernel(runtime, name);
      if (result) verified.push(result);
    }
    return {
      device: runtime.info,
      kernels: verified,
      losses: await trainingLosses(runtime, files.corpus, asked.steps),
      extractions: await extractions(runtime, files.checkpoint, asked.texts),
      seconds: (performance.now() - started) / 1000,
    };
  } finally {
    runtime.close();
  }
}
