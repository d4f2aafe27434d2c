/** The drivers that engines of their own processes are shown, by the environment that Linux's Vulkan loader reads. */
import { join } from 'node:path';
import { DeviceUnavailableError } from '../../src/gpu/errors.ts';
import { mayHaveVulkan, unpackSoftwareDevice } from '../../src/gpu/software.ts';

export interface Driver {
  name: string;
  env: Readonly<Record<string, string>>;
  /** Why it is not there. */
  missing?: string;
}

/** The software device of the package, in place of whatever the system has. */
export function softwareDriver(): Driver {
  const name = 'software device';
  try {
    const folder = unpackSoftwareDevice();
    const icd = join(folder, 'icd.json');
    return { name, env: { LD_LIBRARY_PATH: folder, VK_DRIVER_FILES: icd, VK_ICD_FILENAMES: icd } };
  } catch (error) {
    if (!(error instanceof DeviceUnavailableError)) throw error;
    return { name, env: {}, missing: 'there is no software driver for this system' };
  }
}

/** What the system has: a GPU's driver, or Mesa's lavapipe. */
export const systemDriver = (): Driver => ({
  ...{ name: 'system driver', env: {} },
  missing: mayHaveVulkan() ? undefined : 'no Vulkan driver is installed',
});
