/** What names a run's model and data. */
import test from 'tape';
import { createWordPieceTokenizer, SPECIAL_TOKENS } from '../../../src/tasks/text/wordpiece.ts';
import type { TrainingInput } from '../../../src/tasks/definition.ts';
import { fingerprint } from '../../../src/tasks/training/state.ts';

const tokenizer = createWordPieceTokenizer({ vocab: [...SPECIAL_TOKENS, 'a'], doLowerCase: false });
const identity = { train: 'some data', dev: undefined };

const modelOf = async (encoder: object): Promise<string> => {
  const input = { model: { config: { encoder } }, tokenizer } as unknown as TrainingInput;
  return (await fingerprint(input, identity)).model;
};

test('what configurations have said for some time only leaves a run the same', async (t) => {
  const before = await modelOf({ hiddenSize: 8 });
  t.equal(await modelOf({ hiddenSize: 8, positionOffset: 0 }), before, 'where it is as it always was');
  t.notEqual(await modelOf({ hiddenSize: 8, positionOffset: 2 }), before, 'and not where it is not');
  t.notEqual(await modelOf({ hiddenSize: 16 }), before);
});
