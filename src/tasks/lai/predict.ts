/** Entities and relations of sentences by trained LAI-Nets, one of each stage. */
import type { Tensor } from '../../gpu/tensor.ts';
import { byLength } from '../by-length.ts';
import type { Entity } from '../dataset.ts';
import { joinRows, rowsWithin } from '../padding.ts';
import type { Prediction } from '../spans/decode.ts';
import { entitiesWithin, predictWindows } from '../spans/windows.ts';
import { Packer, type Instance } from './packing.ts';
import { entitiesOf, relationsOf } from './rows.ts';
import type { LaiOptions, LaiStage, LaiTypes } from './training.ts';

/**
 * Predicts every sentence, in windows where one is too long. A model of stage entities finds entities, and
 * `options.relations` relations among them; one of stage relations relates those of `gold`.
 * @param what names sentence i in errors
 */
export function predict(
  loaded: LaiStage,
  sentences: readonly (readonly string[])[],
  what: (i: number) => string,
  options: LaiOptions = {},
  gold?: readonly (readonly Entity[])[],
): Promise<Prediction[]> {
  const stages = [loaded, ...(options.relations ? [options.relations] : [])];
  const packers = stages.map(({ model, tokenizer }) => new Packer(model.config, tokenizer));
  const room = Math.min(...packers.map(({ config, taken }) => config.encoder.maxPositions - taken)) - 2;
  const tokenizers = packers.map(({ tokenizer }) => tokenizer);
  return predictWindows(sentences, tokenizers, room, options, async (windows) => {
    const found = windows.map((window): Prediction => ({
      entities: gold ? entitiesWithin(window, gold[window.sentence]) : [],
      relations: [],
    }));
    for (const [i, { model }] of stages.entries()) {
      const packer = packers[i];
      const instances = windows.flatMap(({ sentence, tokens }, w) =>
        packer.instances(w, packer.encode(tokens, what(sentence)), found[w].entities),
      );
      const logits = await logitsOf(model, packer, instances, windows.length, options);
      const { config } = model;
      found.forEach((prediction, w) => {
        const [classes, filter] = logits[w];
        if (config.stage === 'relations')
          prediction.relations = relationsOf(classes, prediction.entities.length, {
            ...config,
            relationThreshold: options.threshold ?? config.relationThreshold,
          });
        else {
          const yes = config.filter ? filter : undefined;
          prediction.entities = entitiesOf(classes, yes, windows[w].tokens.length, config);
        }
      });
    }
    return found;
  });
}

/** By sentence the logits of its candidates: of the classes, and of the filter where there is one. */
async function logitsOf(
  model: LaiTypes['model'],
  packer: Packer,
  instances: readonly Instance[],
  sentences: number,
  options: LaiOptions,
): Promise<Float32Array[][]> {
  const length = ({ encoded, spans }: Instance): number => encoded.ids.length + spans.length;
  const found = await byLength(instances, length, options, model.config.stage, async (chosen) => {
    const batch = packer.batch(chosen);
    const rows = await model.parameters.runtime.scope(() => {
      const { classes, filter } = model.forward(batch);
      const read = async (tensor: Tensor) => rowsWithin(await tensor.read(), batch.counts, tensor.shape[2]);
      return Promise.all([classes, ...(filter ? [filter] : [])].map(read));
    });
    return chosen.map((_, i) => rows.map((byInstance) => byInstance[i]));
  });
  const parts = Array.from({ length: sentences }, (): Float32Array[][] => [[], []]);
  instances.forEach(({ sentence }, i) => found[i].forEach((rows, kind) => parts[sentence][kind].push(rows)));
  return parts.map((kinds) => kinds.map(joinRows));
}
