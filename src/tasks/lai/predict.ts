/** Entities and relations of sentences by trained LAI-Nets, one of each stage. */
import { stageLabels } from '../../models/lai-config.ts';
import { byGroup, byLength } from '../by-length.ts';
import type { Entity, LabelSets } from '../dataset.ts';
import { joinRows, readRows } from '../padding.ts';
import type { Prediction } from '../spans/decode.ts';
import { entitiesWithin, predictWindows } from '../spans/windows.ts';
import { Packer, type Instance } from './packing.ts';
import { entitiesOf, relationsOf } from './rows.ts';
import type { LaiOptions, LaiStage } from './training.ts';

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
  const system = systemOf(loaded, options);
  return predictWindows(sentences, system, what, options, async (windows) => {
    const found = windows.map((window): Prediction => ({
      entities: gold ? entitiesWithin(window, gold[window.sentence]) : [],
      relations: [],
    }));
    for (const [s, stage] of system.stages.entries()) {
      const { config } = stage.packer;
      const instances = windows.map(({ sentence, encoded }, w) =>
        stage.packer.instances(sentence, encoded[s], found[w].entities),
      );
      const logits = await logitsOf(stage, instances, options);
      found.forEach((prediction, w) => {
        const { classes, filter } = logits[w];
        if (config.stage === 'relations')
          prediction.relations = relationsOf(classes, prediction.entities, config, options.threshold);
        else prediction.entities = entitiesOf(classes, filter, windows[w].tokens.length, config);
      });
    }
    return found;
  });
}

/** The models of a system in turn, and how all of them take sentences. */
export function systemOf(loaded: LaiStage, { relations }: Pick<LaiOptions, 'relations'> = {}) {
  const stages = [loaded, ...(relations ? [relations] : [])].map(({ model, tokenizer }) => ({
    ...{ model, packer: new Packer(model.config, tokenizer) },
  }));
  const packers = stages.map(({ packer }) => packer);
  return {
    stages,
    labels: Object.assign({}, ...packers.map(({ config }) => stageLabels(config))) as Partial<LabelSets>,
    tokenizers: packers.map(({ tokenizer }) => tokenizer),
    room: Math.min(...packers.map(({ config, taken }) => config.encoder.maxPositions - taken)) - 2,
    encode: (tokens: readonly string[], what: string) => packers.map((packer) => packer.encode(tokens, what)),
  };
}

/** By window the logits of its candidates: of the classes, and of the filter where there is one. */
async function logitsOf(
  { model, packer }: ReturnType<typeof systemOf>['stages'][number],
  instances: readonly (readonly Instance[])[],
  options: LaiOptions,
) {
  const length = ({ encoded, spans }: Instance): number => encoded.ids.length + spans.length;
  const counted = { what: `${model.config.stage} of sentences`, of: (one: Instance) => one.sentence };
  const found = await byGroup(instances, (all) =>
    byLength(all, length, options, counted, async (chosen) => {
      const batch = packer.batch(chosen);
      const [classes, filter] = await model.parameters.runtime.scope(() => {
        const logits = model.forward(batch);
        const read = [logits.classes, ...(logits.filter ? [logits.filter] : [])];
        return Promise.all(read.map((tensor) => readRows(tensor, batch.counts)));
      });
      return chosen.map((_, i) => ({ classes: classes[i], filter: filter?.[i] }));
    }),
  );
  return found.map((parts) => ({
    classes: joinRows(parts.map(({ classes }) => classes)),
    filter: model.config.filter ? joinRows(parts.flatMap(({ filter }) => filter ?? [])) : undefined,
  }));
}
