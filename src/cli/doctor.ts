/** `spanwise doctor`: the device that Spanwise would use, what it can do, and whether it computes correctly. */
import { defaultCaps, type Caps } from '../../kernels/plan.ts';
import { softwareReason } from '../gpu/software.ts';
import { verifyKernel } from '../ops/verify-kernel.ts';
import { json, type Command } from './command.ts';
import { withDevice } from './device.ts';
import { print, printJson, table } from './print.ts';
import { packageVersion, version } from './versions.ts';

export const doctor: Command = {
  name: 'doctor',
  summary: 'Shows the device, its features and limits, and checks one small computation on it',
  options: { json },
  notes:
    'Exit status 1 where there is no device or its result is wrong; `spanwise verify` checks every kernel.',
  run: (args) =>
    withDevice(
      () => undefined,
      async (runtime) => {
        const { caps, info } = runtime;
        const reason = softwareReason();
        const chosen = reason
          ? `the software device, because ${reason}`
          : `the adapter that the system offers for high performance`;
        const limits = Object.fromEntries(
          Object.entries(caps).filter(([key]) => /^(max|min)[A-Z]/.test(key)),
        );
        const check = await verifyKernel(runtime, 'linear');
        const ok = check?.ok === true;
        const report = {
          device: info,
          chosen,
          subgroups: { min: caps.subgroupMinSize, max: caps.subgroupMaxSize },
          f16: caps.f16,
          timestamps: caps.timestamps,
          limits,
          caps: Object.fromEntries(Object.keys(defaultCaps).map((key) => [key, caps[key as keyof Caps]])),
          versions: {
            spanwise: version,
            webgpu: packageVersion('webgpu') ?? 'unknown',
            node: process.versions.node,
          },
          platform: `${process.platform} ${process.arch}`,
          check: check ?? null,
          ok,
        };
        if (args.flag('json')) await printJson(report);
        else {
          const yes = (value: boolean): string => (value ? 'yes' : 'no');
          const { min, max } = report.subgroups;
          await print(
            table([
              ['device', info.name],
              ['vendor', info.vendor || 'unknown'],
              ['architecture', info.architecture || 'unknown'],
              ['driver', info.driver || 'unknown'],
              ['software device', yes(info.software)],
              ['chosen', chosen],
              ['subgroups', max > 0 ? (min === max ? `of ${min}` : `of ${min} to ${max}`) : 'no'],
              ['f16', yes(caps.f16)],
              ['timestamps', yes(caps.timestamps)],
              ['features', info.features.join(', ')],
              ...Object.entries(limits).map(([name, limit]) => [name, String(limit)]),
              ['versions', Object.entries(report.versions).flat().join(' ')],
              ['platform', report.platform],
              [
                'check',
                ok
                  ? `linear agrees with float64: forward ${check.forward?.toExponential(1)}, backward ${check.backward?.toExponential(1)}`
                  : `WRONG: linear ${check?.error ?? 'differs from float64'}; try another driver, or SPANWISE_DEVICE=software`,
              ],
            ]),
          );
        }
        return ok ? 0 : 1;
      },
    ),
};
