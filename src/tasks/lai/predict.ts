/** Entities and relations of sentences by trained LAI-Nets, one of each stage. */
import type { Tensor } from '../../gpu/tensor.ts';
import { unlessRefused } from '../bad-rows.ts';
import { byLength } from '../by-length.ts';
import { strangerNotes, type Entity } from '../dataset.ts';
import { joinRows, rowsWithin } from '../padding.ts';
import type { Prediction } from '../spans/decode.ts';
import type { SpanCorpus } from '../spans/model.ts';
import { entitiesWithin, predictWindows, windowNotes, type Window } from '../spans/windows.ts';
import { Packer, type Instance } from './packing.ts';
import { entitiesOf, ownGold, relationsOf } from './rows.ts';
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
  const { stages, packers, tokenizers, room } = stagesOf(loaded, options);
  return predictWindows(sentences, tokenizers, room, options, async (windows) => {
    /** Of every window as each stage takes it; undefined where one cannot. */
    const encoded = windows.map(({ sentence, tokens }) =>
      unlessRefused(options.refused, sentence, () =>
        packers.map((packer) => packer.encode(tokens, what(sentence))),
      ),
    );
    const found = windows.map((window): Prediction => ({
      entities: gold ? entitiesWithin(window, gold[window.sentence]) : [],
      relations: [],
    }));
    for (const [i, { model }] of stages.entries()) {
      const packer = packers[i];
      const instances = encoded.flatMap((byStage, w) =>
        byStage ? packer.instances(w, byStage[i], found[w].entities) : [],
      );
      const logits = await logitsOf(model, packer, instances, windows, options);
      const { config } = model;
      found.forEach((prediction, w) => {
        if (!encoded[w]) return;
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

/** The models of a system, in turn, and the word pieces that a window has room for in each of them. */
function stagesOf(loaded: LaiStage, { relations }: Pick<LaiOptions, 'relations'>) {
  const stages = [loaded, ...(relations ? [relations] : [])];
  const packers = stages.map(({ model, tokenizer }) => new Packer(model.config, tokenizer));
  const room = Math.min(...packers.map(({ config, taken }) => config.encoder.maxPositions - taken)) - 2;
  return { stages, packers, tokenizers: packers.map(({ tokenizer }) => tokenizer), room };
}

/** What of a corpus cannot be found, whatever the weights. Errors: those of `windowNotes`. */
export function scoredNotes(
  loaded: LaiStage,
  corpus: SpanCorpus,
  options: Pick<LaiOptions, 'relations'> = {},
): string[] {
  const { stages, packers, tokenizers, room } = stagesOf(loaded, options);
  return [
    ...windowNotes(corpus, tokenizers, room, (tokens, what) =>
      packers.forEach((packer) => packer.encode(tokens, what)),
    ),
    ...stages.flatMap(({ model: { config } }) => strangerNotes(ownGold(corpus.sentences, config), config)),
  ];
}

/** By window the logits of its candidates: of the classes, and of the filter where there is one. */
async function logitsOf(
  model: LaiTypes['model'],
  packer: Packer,
  instances: readonly Instance[],
  windows: readonly Window[],
  options: LaiOptions,
): Promise<Float32Array[][]> {
  const length = ({ encoded, spans }: Instance): number => encoded.ids.length + spans.length;
  const counted = {
    what: `${model.config.stage} of sentences`,
    of: ({ sentence }: Instance) => windows[sentence].sentence,
  };
  const found = await byLength(instances, length, options, counted, async (chosen) => {
    const batch = packer.batch(chosen);
    const rows = await model.parameters.runtime.scope(() => {
      const { classes, filter } = model.forward(batch);
      const read = async (tensor: Tensor) => rowsWithin(await tensor.read(), batch.counts, tensor.shape[2]);
      return Promise.all([classes, ...(filter ? [filter] : [])].map(read));
    });
    return chosen.map((_, i) => rows.map((byInstance) => byInstance[i]));
  });
  const parts = Array.from(windows, (): Float32Array[][] => [[], []]);
  instances.forEach(({ sentence }, i) => found[i].forEach((rows, kind) => parts[sentence][kind].push(rows)));
  return parts.map((kinds) => kinds.map(joinRows));
}
