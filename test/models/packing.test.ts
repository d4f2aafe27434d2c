/** Rows without padding: where they lie, and that a ragged batch gives what each of its texts gives alone. */
import test from 'tape';
import { defaultCaps } from '../../kernels/plan.ts';
import { Packing } from '../../src/models/packing.ts';
import { parseStsnConfig, Stsn } from '../../src/models/stsn.ts';
import { Parameters, randomSource, type Tensor } from '../../src/node.ts';
import { concat, embedding, hostInts, mul, record, reshape, sum } from '../../src/ops/index.ts';
import { makeWordBatch, type EncodedSentence } from '../../src/tasks/spans/batch.ts';
import { relativeError } from '../relative-error.ts';
import { sharedRuntime } from '../runtime.ts';

const runtime = sharedRuntime();

const software = { ...defaultCaps, software: true };

test('packed rows lie text after text, filled up to a multiple of 16', async (t) => {
  const packing = Packing.of(Int32Array.of(2, 0, 9), 9, software) as Packing;
  t.equal(packing.rows, 16);
  t.deepEqual([...packing.lengths.data], [2, 0, 9, 5], 'what fills up is one more text');
  t.deepEqual([...packing.firsts], [0, 2, 2]);
  const values = Int32Array.from({ length: 54 }, (_, i) => i);
  const twos = [...packing.pack(values, -1, 2)];
  t.deepEqual(twos, [0, 1, 2, 3, ...values.subarray(36), ...Array<number>(10).fill(-1)]);
  const padded = await runtime.scope(async () => {
    const x = runtime.upload(
      Float32Array.from({ length: 16 }, (_, i) => i + 1),
      [16, 1],
    );
    return [...(await packing.unpack(x).read())];
  });
  t.deepEqual(padded, [1, 2, ...Array<number>(16).fill(0), 3, 4, 5, 6, 7, 8, 9, 10, 11], '0 in the padding');
});

test('nothing is packed where that spares no row, nor on a GPU', (t) => {
  t.notOk(Packing.of(Int32Array.of(9, 9), 9, software), 'no padding');
  t.notOk(Packing.of(Int32Array.of(9, 1), 9, { ...software, software: false }), 'a GPU');
  t.notOk(Packing.of(Int32Array.of(5, 1), 5, software), 'ten rows are fewer than 16');
  t.notOk(Packing.of(new Int32Array(), 0, software), 'no text');
  t.end();
});

const config = {
  ...{ model: 'stsn', layers: 1, heads: 2, widthEmbeddingSize: 3 },
  ...{ entityTypes: ['E'], relationTypes: ['R'], tags: ['O', 'B-E', 'I-E'] },
  encoder: {
    ...{ vocab_size: 30, hidden_size: 8, num_hidden_layers: 2, num_attention_heads: 2 },
    ...{ intermediate_size: 12, max_position_embeddings: 40 },
  },
};

/** A sentence of words of one or two pieces. */
function sentence(words: number, seed: number): EncodedSentence {
  const ids = [1];
  const spans: number[] = [];
  for (let w = 0; w < words; w++) {
    const pieces = 1 + (w % 2);
    spans.push(ids.length, ids.length + pieces);
    for (let i = 0; i < pieces; i++) ids.push(3 + ((7 * ids.length + 5 * seed) % 27));
  }
  return { ids: Int32Array.from([...ids, 2]), words: Int32Array.from(spans) };
}

test('a ragged batch has the states and gradients of its sentences alone', async (t) => {
  const sentences = [5, 17, 1, 9].map(sentence);
  const factors = new Float32Array(24 * 17).map((_, i) => Math.sin(i + 1));
  /** States of the words that count, [Σ words, 3d], and the gradients of a weighed sum of them. */
  const run = async (batches: EncodedSentence[][]) => {
    const parameters = new Parameters(runtime, randomSource(3));
    const model = new Stsn(parameters, parseStsnConfig(config, 'config'));
    const states: number[] = [];
    for (const sentences of batches)
      await runtime.scope(async () => {
        const batch = makeWordBatch(sentences, 0);
        const packs = Packing.of(batch.wordLengths, batch.columns, runtime.caps) !== undefined;
        t.equal(packs, runtime.caps.software && sentences.length > 1, `${sentences.length} sentences`);
        const { result, tape } = await record(runtime, () => {
          const { label, entity, relation } = model.states(batch);
          const all = concat(label as Tensor, entity, relation);
          const rows = [...batch.wordLengths].flatMap((length, b) =>
            Array.from({ length }, (_, i) => b * batch.columns + i),
          );
          const kept = embedding(hostInts(Int32Array.from(rows)), reshape(all, [all.size / 24, 24]));
          const weights = sentences.flatMap(({ words }) => [...factors.subarray(0, 12 * words.length)]);
          const loss = sum(mul(kept, runtime.upload(Float32Array.from(weights), kept.shape)));
          return { kept, loss };
        });
        tape.backward(result.loss, [result.kept]);
        states.push(...(await result.kept.read()));
      });
    const gradients = new Map<string, Float32Array>();
    for (const [name, { tensor }] of parameters.all)
      if (tensor.grad) gradients.set(name, (await tensor.grad.read()) as Float32Array);
    parameters.release();
    return { states, gradients };
  };
  const together = await run([sentences]);
  const alone = await run(sentences.map((one) => [one]));
  t.ok(relativeError(together.states, alone.states) < 1e-5, 'states');
  t.deepEqual([...together.gradients.keys()].sort(), [...alone.gradients.keys()].sort());
  for (const [name, gradient] of together.gradients) {
    // The gradient of the keys' bias is 0 but for rounding.
    if (name.endsWith('key.bias')) continue;
    const error = relativeError(gradient, alone.gradients.get(name) as Float32Array);
    t.ok(error < 1e-4, `${name}: relative error ${error.toExponential(1)}`);
  }
});
