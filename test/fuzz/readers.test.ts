/** Every reader on 5,000 inputs that are almost right; `spanwise bench fuzz` goes on where this ends. */
import test from 'tape';
import { runCampaign } from './campaign.ts';
import { targets } from './targets.ts';

const COUNT = 5000;
/** Readers of whose inputs fewer than one in so many are read, or refused, are tried on the wrong ones. */
const FEWEST = COUNT / 50;

for (const target of targets)
  test(`${target.name} on ${COUNT} inputs that are almost right`, async (t) => {
    const { faults, read, refused, complaints, slowestMs } = await runCampaign(target, {
      seed: 1,
      count: COUNT,
    });
    t.equal(faults.length, 0, faults.length === 0 ? 'no fault' : JSON.stringify(faults.slice(0, 3)));
    t.ok(read >= FEWEST && refused >= FEWEST, `${read} read, ${refused} refused in ${complaints} ways`);
    t.comment(`${slowestMs.toFixed(0)} ms at most`);
  });
