/** A test for each of some readers. */
import test from 'tape';
import { runCampaign, type Target } from './campaign.ts';

const COUNT = 5000;
/** Of so many inputs one at least is read, and one refused: else the inputs are the wrong ones. */
const ONE_OF = 50;

export function tryReaders(targets: readonly Target[]): void {
  for (const target of targets)
    test(`${target.name} on ${COUNT} inputs that are almost right`, async (t) => {
      const { faults, read, refused, complaints } = await runCampaign(target, { seed: 1, count: COUNT });
      t.equal(faults.length, 0, faults.length === 0 ? 'no fault' : JSON.stringify(faults.slice(0, 3)));
      t.ok(
        Math.min(read, refused) >= COUNT / ONE_OF,
        `${read} read, ${refused} refused in ${complaints} ways`,
      );
    });
}
