/** `bench table7`: throughput and latency of the four models of the CEREM paper's Table 7 at batches of 1, 2 and 4. */
import { ceremBase, type Cerem } from '../src/models/cerem.ts';
import {
  baseConfig,
  buildVariant,
  checkVariants,
  compilePipelines,
  paperMs,
  randomBatch,
  runOnce,
  tokensOf,
  variantOptions,
  variantsOf,
} from './cerem.variants.ts';
import { makeDocument, onDevice, ownOptions, type Bench, type BenchRow } from './harness.ts';
import { summarise } from './statistics.ts';

const BATCHES = [1, 2, 4];
/** A software device makes a forward pass of BERT-base in seconds, not milliseconds: short rows, one run a cell. */
const SOFTWARE = { tokens: 64, rounds: 1 };
const GPU = { tokens: 256, rounds: 20 };

export const table7Bench: Bench = {
  doc: "throughput and latency of the CEREM paper's Table 7: four models, batches of 1, 2 and 4",
  async run({ args, log }) {
    const own = ownOptions('table7', args, variantOptions);
    const base = baseConfig(own);
    checkVariants('table7', base);
    const given = tokensOf(own, base);
    return onDevice(async (runtime) => {
      const sizes = runtime.info.software ? SOFTWARE : GPU;
      const tokens = given ?? Math.min(sizes.tokens, base.maxLength);
      const { rounds } = sizes;
      const variants = variantsOf(base);

      for (const { name, config } of variants) {
        log(`${name}: pipelines`);
        await compilePipelines(runtime, config, BATCHES, tokens);
      }

      const models: Cerem[] = variants.map(({ config }) => buildVariant(runtime, config));
      await runtime.finish();
      const rows: BenchRow[] = [];
      for (const [b, batch] of BATCHES.entries()) {
        const input = randomBatch(batch, tokens, base);
        const samples = variants.map((): number[] => []);
        // In turn, the order rotating, so that whatever slows the machine for a while slows all of them.
        for (let round = 0; round < rounds; round++)
          for (let turn = 0; turn < variants.length; turn++) {
            const i = (round + turn) % variants.length;
            log(`batch ${batch}, ${variants[i].name}, round ${round + 1} of ${rounds}`);
            const started = performance.now();
            await runOnce(runtime, models[i], input);
            samples[i].push(performance.now() - started);
          }
        variants.forEach(({ name, config }, i) => {
          const { median, q1, q3 } = summarise(samples[i]);
          rows.push({
            ...{ batch, name, sia: config.sia, branches: config.branches, tokens },
            ...{ throughput: (1000 * batch) / median, ms: median, q1, q3 },
            ...(base === ceremBase ? { paperMs: paperMs[name][b] } : {}),
            rounds: samples[i],
          });
        });
      }
      for (const model of models) model.parameters.release();
      return makeDocument('table7', runtime, rows);
    });
  },
};
