// `npm run gpu-forms`: `bench gpu-forms` into bench/results/, where a GPU's compiler is set up (docs/gpu.md).
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

if (!process.env.NULLGPU_DRIVER)
  console.log('gpu-forms: skipped: no compiler of a GPU is set up (docs/gpu.md)');
else {
  process.chdir(fileURLToPath(new URL('..', import.meta.url)));
  const args = ['bin/spanwise.mjs', 'bench', 'gpu-forms', '--out', 'bench/results/gpu-forms.json'];
  process.exitCode = spawnSync(process.execPath, args, { stdio: 'inherit' }).status ?? 1;
}
