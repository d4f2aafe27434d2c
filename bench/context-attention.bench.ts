/**
 * `bench context-attention`: all spans of a sentence against one masked attention a span, the kernel `attention` on
 * inputs expanded span by span. The shape: words of a BERT-base sentence, spans of up to ten, 8 heads of 96.
 */
import { attention } from '../kernels/attention.ts';
import { contextAttention } from '../kernels/context-attention.ts';
import { InputError } from '../kernels/errors.ts';
import { sizeOf, type Kernel, type Plan, type Shape } from '../kernels/plan.ts';
import { deviceMs } from '../src/gpu/device-time.ts';
import type { Runtime, Tensor } from '../src/node.ts';
import { checked, makeDocument, onDevice, ownOptions } from './harness.ts';
import type { Bench, BenchCheck, BenchRow } from './harness.ts';
import {
  D,
  HEAD_SIZE,
  HEADS,
  lastHead,
  PASSES,
  Sentence,
  type Pass,
  type Values,
} from './context-attention.sentence.ts';
import { interleave, pairedRatio, warmUp, type Side } from './statistics.ts';

const TOKENS = 128;
/** Spans whose attentions run at once in the naive form: 25 MB of queries, as much of keys, of values and of outputs. */
const AT_ONCE = 64;
const LEAST_RATIO = 5;
const MOST_SCRATCH = 32 * 2 ** 20;

type Tensors = Record<string, Tensor>;

interface Run {
  ms: number;
  /** The last head's outputs or gradients. */
  results: Record<string, Float64Array>;
  scratchBytes: number;
}

const bytesOf = (tensors: Plan['outputs']): number =>
  Object.values(tensors).reduce((sum, { shape }) => sum + 4 * sizeOf(shape), 0);

/** Runs a kernel's forward, then where asked its backward; times the pass alone. */
async function timed(
  runtime: Runtime,
  kernel: Kernel,
  pass: Pass,
  tensors: Tensors,
  host: Record<string, { data: Int32Array; shape: Shape }>,
): Promise<{ ms: number; results: Values; scratchBytes: number }> {
  let ms = 0;
  let scratchBytes = 0;
  const step = async (one: Kernel, inputs: Tensors): Promise<Tensors> => {
    const ports = new Set(one.inputs.map((port) => port.name));
    const own = Object.fromEntries(Object.entries(inputs).filter(([name]) => ports.has(name)));
    const shapes: Record<string, Shape> = {};
    for (const [name, { shape }] of Object.entries({ ...own, ...host })) shapes[name] = shape;
    const data = Object.fromEntries(Object.entries(host).map(([name, x]) => [name, x.data]));
    const plan = one.plan({ shapes, params: { heads: HEADS }, caps: runtime.caps, host: data });
    let outputs: Tensors = {};
    ms = await deviceMs(runtime, () => (outputs = runtime.run(plan, own)));
    scratchBytes = bytesOf(plan.scratch);
    return outputs;
  };
  let outputs = await step(kernel, tensors);
  if (pass === 'backward') outputs = await step(kernel.backward as Kernel, { ...tensors, ...outputs });
  const names = Object.keys(outputs).filter((name) => name !== 'lse');
  const read = await runtime.readAll(names.map((name) => outputs[name]));
  return {
    ms,
    scratchBytes,
    results: Object.fromEntries(names.map((name, i) => [name, read[i] as Float32Array])),
  };
}

const cutAll = (results: Values): Record<string, Float64Array> =>
  Object.fromEntries(Object.entries(results).map(([name, values]) => [name, lastHead(values)]));

async function ours(runtime: Runtime, sentence: Sentence, pass: Pass, device: Tensors): Promise<Run> {
  return runtime.scope(async () => {
    const host = {
      spans: { data: sentence.spans, shape: [sentence.S, 3] },
      lengths: { data: Int32Array.of(sentence.tokens), shape: [1] },
    };
    const run = await timed(runtime, contextAttention, pass, device, host);
    return { ...run, results: cutAll(run.results) };
  });
}

/** S attentions, some at a time. The sums of their gradients, and the expansion of their inputs, are not timed. */
async function naive(runtime: Runtime, sentence: Sentence, pass: Pass): Promise<Run> {
  const { S, tokens, spans } = sentence;
  const size = tokens * HEAD_SIZE;
  const total: Run = { ms: 0, scratchBytes: 0, results: {} };
  const names = pass === 'forward' ? ['out'] : ['grad_q', 'grad_k', 'grad_v'];
  for (const name of names) total.results[name] = new Float64Array(pass === 'forward' ? S * size : size);
  if (pass === 'backward') total.results.grad_mask_query = new Float64Array(HEAD_SIZE);
  for (let first = 0; first < S; first += AT_ONCE)
    await runtime.scope(async () => {
      const count = Math.min(AT_ONCE, S - first);
      const { values, mask } = sentence.expanded(first, count);
      const device: Tensors = {};
      for (const name of ['q', 'k', 'v', ...(pass === 'backward' ? ['grad_out'] : [])])
        device[name] = runtime.upload(values[name], [count, tokens, D]);
      const host = { mask: { data: mask, shape: [count, tokens, tokens] } };
      const run = await timed(runtime, attention, pass, device, host);
      total.ms += run.ms;
      const expandedBytes = 4 * (3 * values.q.length + mask.length);
      total.scratchBytes = Math.max(total.scratchBytes, run.scratchBytes + expandedBytes);
      for (const [name, all] of Object.entries(cutAll(run.results))) {
        if (pass === 'forward') total.results[name].set(all, first * size);
        else
          for (let at = 0; at < all.length; at++) {
            const [row, column] = [Math.floor((at % size) / HEAD_SIZE), at % HEAD_SIZE];
            const span = 3 * (first + Math.floor(at / size));
            const masked = name === 'grad_q' && row >= spans[span + 1] && row < spans[span + 2];
            if (masked) total.results.grad_mask_query[column] += all[at];
            else total.results[name][at % size] += all[at];
          }
      }
    });
  return total;
}

async function measure(runtime: Runtime, tokens: number, full: boolean, log: (line: string) => void) {
  const sentence = new Sentence(tokens);
  const { S } = sentence;
  const device: Tensors = { mask_query: runtime.upload(sentence.maskQuery, [D]) };
  for (const [name, x] of Object.entries(sentence.values)) device[name] = runtime.upload(x, [1, tokens, D]);
  const rows: BenchRow[] = [];
  const checks: BenchCheck[] = [];
  for (const pass of PASSES) {
    log(`${pass}: float64, the last head`);
    const expected = sentence.exact(pass);
    if (pass === 'backward') device.grad_out = runtime.upload(sentence.gradOut, [S, tokens, D]);
    const scratch: Record<string, number> = {};
    const side = (name: string, run: () => Promise<Run>): Side<Run> => ({
      name,
      async run() {
        log(`${pass}: ${name}`);
        const result = await run();
        scratch[name] = result.scratchBytes;
        return result;
      },
      check: ({ results }) =>
        Math.max(
          ...Object.entries(expected).map(([key, x]) => checked(`${pass} ${name} ${key}`, results[key], x)),
        ),
      ms: ({ ms }) => ms,
    });
    const warm = [
      await warmUp(side('context-attention', () => ours(runtime, sentence, pass, device))),
      await warmUp(side('S attentions', () => naive(runtime, sentence, pass))),
    ];
    const [own, other] = await interleave(
      warm,
      full ? { minRounds: 5, maxRounds: 9 } : { minRounds: 3, maxRounds: 3 },
    );
    const ratio = pairedRatio(other, own);
    const [scratchBytes, naiveScratchBytes] = [scratch['context-attention'], scratch['S attentions']];
    rows.push({
      ...{ pass, L: tokens, spans: S, D, heads: HEADS, ms: own.median, naiveMs: other.median, ratio },
      ...{ scratchBytes, naiveScratchBytes },
      ...{ q1: own.q1, q3: own.q3, naiveQ1: other.q1, naiveQ3: other.q3, samples: own.samples },
      clock: runtime.caps.timestamps ? 'timestamps' : 'wall',
      relativeError: Math.max(own.relativeError, other.relativeError),
    });
    checks.push({
      claim: `${pass}, L = ${tokens}: scratch under 32 MiB`,
      holds: scratchBytes < MOST_SCRATCH,
      measured: `${(scratchBytes / 2 ** 20).toFixed(1)} MiB`,
    });
    if (runtime.caps.software && tokens === TOKENS)
      checks.push({
        claim: `${pass}, L = ${tokens}: at least ${LEAST_RATIO} times as fast as ${S} masked attentions`,
        holds: ratio >= LEAST_RATIO,
        measured: `${ratio.toFixed(1)} times, median over the rounds`,
      });
  }
  return { rows, checks };
}

export const contextAttentionBench: Bench = {
  doc: 'context-attention over all spans of up to 10 words against one masked attention a span',
  run: ({ args, full, log }) => {
    const own = ownOptions('context-attention', args, { tokens: { value: 'L', doc: '' } }).optional('tokens');
    const tokens = own === undefined ? TOKENS : Number(own);
    if (!Number.isInteger(tokens) || tokens < 1)
      throw new InputError(
        `bench context-attention: --tokens must be a whole number of at least 1, got "${own}"`,
      );
    return onDevice(async (runtime) => {
      const { rows, checks } = await runtime.scope(() => measure(runtime, tokens, full, log));
      return makeDocument('context-attention', runtime, rows, checks);
    });
  },
};
