/** Tint (Dawn's) and Naga (wgpu's, of Deno) take every text that plans of reference cases and of base models come to. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'tape';
import { formCases, passPlans } from '../../bench/gpu-forms.cases.ts';
import { gateCaps } from '../../bench/gate.cases.ts';
import { kernels, type Plan } from '../../kernels/index.ts';
import { wgslOf } from '../../kernels/wgsl.ts';
import { unpackSoftwareDevice } from '../../src/gpu/software.ts';
import { openRuntime } from '../../src/node.ts';
import { plansOf } from './reference-plans.ts';

/** A text that neither may take, by which a test can fail. */
const WRONG = 'wrong';
const texts = new Map([[WRONG, '@compute @workgroup_size(1) fn main() { let x: f32 = 1u; }']]);

function add({ dispatches }: Plan): void {
  for (const dispatch of dispatches) {
    const key = `${dispatch.shader.name} ${JSON.stringify(dispatch.constants)}`;
    if (!texts.has(key)) texts.set(key, wgslOf(dispatch));
  }
}
for (const kernel of Object.values(kernels)) for (const { plan } of plansOf(kernel)) add(plan);
for (const caps of Object.values(gateCaps))
  for (const subgroups of [{}, { subgroupMinSize: 0, subgroupMaxSize: 0 }])
    for (const one of formCases(1))
      for (const { plan } of passPlans(one, { ...caps, ...subgroups })) add(plan);

test('Tint takes every text', async (t) => {
  const runtime = await openRuntime();
  const { device } = runtime;
  const wrong: Record<string, string> = {};
  // It takes the matrices of subgroups of devices that have them alone: those are compiled by `npm run gpu-forms`.
  const taken = [...texts].filter(
    ([, code]) => !/^enable chromium_experimental_subgroup_matrix;/m.test(code),
  );
  t.ok(taken.length < texts.size, `${texts.size - taken.length} with matrices of subgroups are left out`);
  for (const [name, code] of taken) {
    device.pushErrorScope('validation');
    const module = device.createShaderModule({ code });
    await device.popErrorScope();
    const { messages } = await module.getCompilationInfo();
    const error = messages.find(({ type }) => type === 'error');
    if (error) wrong[name] = error.message;
  }
  t.deepEqual(Object.keys(wrong), [WRONG], `${taken.length - 1} texts`);
  t.ok(
    [...texts.values()].some((text) => text.startsWith('enable subgroups;')),
    'with subgroups too',
  );
  runtime.close();
});

/** Where Linux finds the software driver as it would a system's; undefined where there is none. */
function driver(): Record<string, string> | undefined {
  try {
    const path = unpackSoftwareDevice();
    return { LD_LIBRARY_PATH: path, VK_ICD_FILENAMES: join(path, 'icd.json') };
  } catch {
    return undefined;
  }
}

const deno = join('node_modules', '.bin', 'deno');
const found = driver();
const skip = !existsSync(deno)
  ? 'the npm package deno is not installed'
  : found
    ? undefined
    : 'there is no software driver for this system';

test('Naga takes every text', { skip: skip && `Naga: ${skip}` }, (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'spanwise-naga-'));
  const file = join(folder, 'texts.json');
  // It has no extensions yet, and where there are none plans enable none.
  const plain = [...texts].filter(([, text]) => !/^enable /m.test(text));
  writeFileSync(file, JSON.stringify(Object.fromEntries(plain)));
  const { status, stdout, stderr } = spawnSync(deno, ['run', '--allow-read', 'test/kernels/naga.mjs', file], {
    env: { ...process.env, ...found },
    encoding: 'utf8',
    timeout: 300_000,
  });
  rmSync(folder, { recursive: true });
  t.equal(status, 0, stderr.slice(-500));
  t.deepEqual(Object.keys(JSON.parse(stdout) as object), [WRONG], `${plain.length - 1} texts`);
  t.end();
});
