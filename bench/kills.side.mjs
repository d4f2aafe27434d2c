// A training of `bench kills`, which goes on with what its folder holds. It tells every change of phase as a line, written
// before anything else is done: the last line is where it was killed.
import { existsSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [library, out, options] = process.argv.slice(2);
const { train: sentences, dev, ...start } = JSON.parse(options);
let phase;
const tell = (name) => {
  phase = name;
  writeSync(1, `${name}\n`);
};
tell('start');
const { folderSource, folderStorage, openRuntime, stsn, train } = await import(pathToFileURL(library).href);
const runtime = await openRuntime();
const folder = folderStorage(out);
/** The folder, with its writes told. */
const saving =
  (write) =>
  async (...args) => {
    const before = phase;
    tell('save');
    await write(...args);
    tell(before);
  };
const storage = { ...folder, write: saving(folder.write), append: saving(folder.append) };
const corpus = (given) => ({ sentences: given, file: 'sentences', notes: [] });
folderSource(out, true); // puts right what was cut short
const resume = existsSync(join(out, 'last', 'trainer.json'));
tell('compile');
await train(stsn, corpus(sentences), {
  ...{ runtime, storage, resume, dev: corpus(dev), saveSeconds: 1e-9 },
  // A run that goes on has its own configuration.
  ...(resume ? { recipe: start.recipe } : start),
  onEvent({ event }) {
    if (event === 'step' && phase !== 'step') tell('step');
    if (event === 'evaluate' && phase !== 'evaluate') tell('evaluate');
  },
});
runtime.close();
