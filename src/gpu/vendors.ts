/** Names for adapters that give numbers: wgpu in Deno has the driver's PCI ids, in decimals, for vendor and device. */
import type { GPUAdapterInfo } from './webgpu.ts';

/** By the ids of the PCI-SIG and, from 0x10000 on, of Khronos; called as Dawn calls them. */
const vendors: Readonly<Record<number, string>> = {
  0x1002: 'amd',
  0x1010: 'img-tec',
  0x106b: 'apple',
  0x10de: 'nvidia',
  0x13b5: 'arm',
  0x1414: 'microsoft',
  0x144d: 'samsung',
  0x14e4: 'broadcom',
  0x1ae0: 'google',
  0x5143: 'qualcomm',
  0x8086: 'intel',
  0x10005: 'mesa',
};

const isNumeric = (text: string): boolean => /^\d+$/.test(text);

/** What an adapter says of itself, in words. */
export type AdapterNames = Pick<GPUAdapterInfo, 'vendor' | 'architecture' | 'device' | 'description'>;

/**
 * Words in place of numbers. Such an adapter's description is the device's name, and nothing says what its driver is. A vendor
 * that is not known keeps its id, as `pci-1af4`.
 */
export function namesOf(info: GPUAdapterInfo): AdapterNames {
  const { vendor, architecture, device, description } = info;
  const named = isNumeric(vendor)
    ? (vendors[Number(vendor)] ?? `pci-${Number(vendor).toString(16).padStart(4, '0')}`)
    : vendor;
  return isNumeric(device)
    ? { vendor: named, architecture, device: description, description: '' }
    : { vendor: named, architecture, device, description };
}
