/** A threshold that a corpus has chosen, kept in the checkpoint of its model. */
import { CONFIG, configFile } from './checkpoint.ts';
import type { Definition, Loaded, Types } from './definition.ts';
import type { Storage } from './training/storage.ts';

/** Writes a threshold into the configuration of the checkpoint in a storage. */
export async function keepThreshold<T extends Types>(
  { name, threshold: { key } }: Definition<T>,
  { model }: Pick<Loaded<T>, 'model'>,
  threshold: number,
  storage: Storage,
): Promise<void> {
  await storage.write('', { [CONFIG]: configFile(name, { ...model.config, [key]: threshold }) });
}
