/** The encoder of small models. */
import type { Json } from '../models/config.ts';

/** An encoder that learns from a few hundred sentences in minutes on a CPU: 2 layers × 64. */
export const smallEncoder: Json = {
  model_type: 'bert',
  hidden_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  intermediate_size: 128,
  hidden_act: 'gelu',
  max_position_embeddings: 512,
  type_vocab_size: 2,
  layer_norm_eps: 1e-12,
};
