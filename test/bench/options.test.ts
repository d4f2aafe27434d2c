import test from 'tape';
import { spanwise } from '../cli/run.ts';

test('bench sia and bench peers refuse what they do not know', async (t) => {
  const refusals: [string[], RegExp][] = [
    [['sia', '--tokens', '64,5'], /--tokens must be whole numbers of at least 6, got "64,5"/],
    [['sia', 'surplus'], /unexpected argument "surplus"/],
    [
      ['peers', '--peers', 'jax-js,nothing'],
      /--peers names "nothing", which is not one of jax-js, gpu\.js, /,
    ],
    [['peers', '--cases', 'matmul'], /--cases names "matmul", which is not one of matmul-512x512x512, /],
  ];
  for (const [args, message] of refusals) {
    const { status, stderr } = await spanwise(['bench', ...args]);
    t.equal(status, 2, args.join(' '));
    t.match(stderr, message);
  }
});
