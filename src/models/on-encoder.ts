/** What every model is built on: an encoder among its parameters. */
import type { Parameters } from '../nn/parameters.ts';
import { Bert, type BertConfig } from './bert.ts';

export abstract class OnEncoder<C extends { readonly encoder: BertConfig }> {
  readonly config: C;
  readonly parameters: Parameters;
  readonly encoder: Bert;

  /** @param pooler the checkpoint holds the encoder's pooler, which is kept and written back */
  constructor(parameters: Parameters, config: C, pooler = false) {
    this.config = config;
    this.parameters = parameters;
    this.encoder = new Bert(parameters.in('encoder'), config.encoder, pooler);
  }
}
