/** `spanwise verify`: does this machine's driver compute what the float64 references do? */
import { kernels } from '../../kernels/index.ts';
import { TOLERANCE, verifyKernel, type Verification } from '../ops/verify-kernel.ts';
import { json, type Command } from './command.ts';
import { withDevice } from './device.ts';
import { print, printJson, table } from './print.ts';
import { Progress } from './progress.ts';

const digits = (error: number | null | undefined): string =>
  error === undefined ? '' : error === null ? 'NaN' : error.toExponential(1);

export const verify: Command = {
  name: 'verify',
  summary: 'Compares every kernel on this device, forward and backward, with its float64 reference',
  options: { json },
  notes: `Exit status 1 where a relative error exceeds ${TOLERANCE}.`,
  run: (args) =>
    withDevice(
      () => undefined,
      async (runtime) => {
        const results: Verification[] = [];
        const progress = new Progress();
        for (const name of Object.keys(kernels)) {
          progress.show(`verify: ${name}`);
          const result = await verifyKernel(runtime, name);
          if (result) results.push(result);
        }
        progress.clear();
        const wrong = results.filter((result) => !result.ok);
        if (args.flag('json'))
          await printJson({
            device: runtime.info,
            tolerance: TOLERANCE,
            ok: wrong.length === 0,
            kernels: results,
          });
        else {
          const rows = results.map((r) => [
            r.kernel,
            String(r.cases),
            digits(r.forward),
            digits(r.backward),
            r.ok ? 'ok' : `WRONG${r.error ? `: ${r.error}` : ''}`,
          ]);
          await print(table([['kernel', 'cases', 'forward', 'backward', ''], ...rows]));
          await print(
            `\n${results.length - wrong.length} of ${results.length} kernels agree within ${TOLERANCE} on ${runtime.info.name}\n`,
          );
        }
        return wrong.length > 0 ? 1 : 0;
      },
    ),
};
