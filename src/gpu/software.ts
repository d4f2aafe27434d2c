/**
 * Node only: the software Vulkan stack inside the development dependency `@sparticuz/chromium`, for machines with no
 * GPU driver. Its archive is unpacked once into a cache folder; the Vulkan loader finds it through environment
 * variables that must be set before the process starts, hence `restartOnSoftwareDevice`.
 */
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { brotliDecompressSync } from 'node:zlib';
import { InputError } from '../../kernels/errors.ts';
import { DeviceUnavailableError } from './errors.ts';

const ARCHIVE = 'swiftshader.tar.br';
const ICD = 'vk_swiftshader_icd.json';
const LOADER = 'libvulkan.so.1';
const DRIVER = 'libvk_swiftshader.so';
/** Set in the restarted process: the id of the process that restarted it, and why. */
const MARK = 'SPANWISE_SOFTWARE_DEVICE';
const PARENT_CHECK_MS = 250;

const reasons = {
  forced: 'SPANWISE_DEVICE=software',
  'no-loader': 'no Vulkan loader is installed',
  'no-adapter': 'no driver offers a WebGPU adapter',
} as const;
/** Why the software device was taken. */
export type SoftwareReason = keyof typeof reasons;

/** The archive inside the installed package, or undefined where the package is not installed. */
function archivePath(): string | undefined {
  const require = createRequire(import.meta.url);
  try {
    for (const folder of require.resolve.paths('@sparticuz/chromium') ?? []) {
      const path = join(folder, '@sparticuz', 'chromium', 'bin', ARCHIVE);
      if (existsSync(path)) return path;
    }
  } catch {
    // No module paths: treated as not installed.
  }
  return undefined;
}

/** Regular files of a tar archive by base name (ustar: 512-byte headers, octal sizes). */
function* tarFiles(tar: Buffer): Generator<[string, Buffer]> {
  for (let at = 0; at + 512 <= tar.length;) {
    const name = tar.toString('utf8', at, at + 100).replace(/\0.*$/s, '');
    if (!name) return;
    const size = parseInt(tar.toString('latin1', at + 124, at + 136), 8);
    if (!Number.isFinite(size))
      throw new DeviceUnavailableError(`${ARCHIVE}: a damaged tar header at byte ${at}`);
    const type = String.fromCharCode(tar[at + 156]);
    if (type === '0' || type === '\0')
      yield [name.split('/').pop() as string, tar.subarray(at + 512, at + 512 + size)];
    at += 512 + 512 * Math.ceil(size / 512);
  }
}

/** The user's folder for what can be made again: in XDG_CACHE_HOME or ~/.cache. It need not exist. */
export const cacheFolder = (): string =>
  join(process.env.XDG_CACHE_HOME || join(homedir() || tmpdir(), '.cache'), 'spanwise');

/** Where unpacked drivers are kept: the cache folder, and where that cannot be, the temporary folder. */
const cacheFolders = (): string[] => [cacheFolder(), join(tmpdir(), `spanwise-cache-${process.getuid?.()}`)];

/**
 * Whether a folder is the user's own: code from it is loaded into the process, and anyone may make a folder, or a link,
 * of a name that can be foreseen in the temporary folder.
 */
function isOwn(folder: string): boolean {
  try {
    const status = lstatSync(folder);
    return status.isDirectory() && status.uid === process.getuid?.();
  } catch {
    return false; // it is not there, or a part of its path is none of the user's
  }
}

/** True when the driver is in a folder that the user alone could fill. */
const isUnpacked = (folder: string): boolean => isOwn(dirname(folder)) && existsSync(join(folder, ICD));

/** Puts the driver into a folder, whole or not at all. True when it is there. */
function unpackInto(folder: string, files: readonly [string, Buffer][]): boolean {
  let staging: string | undefined;
  try {
    mkdirSync(dirname(folder), { recursive: true, mode: 0o700 });
    if (!isOwn(dirname(folder))) return false;
    staging = mkdtempSync(`${folder}-`);
    for (const [name, bytes] of files) writeFileSync(join(staging, name), bytes, { mode: 0o755 });
    renameSync(staging, folder);
  } catch {
    // Not writable, full, or another process was first.
    if (staging) rmSync(staging, { recursive: true, force: true });
  }
  return isUnpacked(folder);
}

/**
 * Unpacks the software driver unless that was done before; several processes may do it at once.
 * @returns the folder with the ICD json and the Vulkan loader. Errors: DeviceUnavailableError saying what to install.
 */
export function unpackSoftwareDevice(): string {
  const archive = archivePath();
  if (process.platform !== 'linux' || process.arch !== 'x64' || !archive)
    throw new DeviceUnavailableError(
      'no WebGPU adapter was found, and the software device (npm package @sparticuz/chromium, Linux x64) is not ' +
        'installed: install a Vulkan driver, or `npm install --save-dev @sparticuz/chromium@147.0.0`',
    );
  const { version } = JSON.parse(readFileSync(join(dirname(archive), '..', 'package.json'), 'utf8')) as {
    version: string;
  };
  const folders = cacheFolders().map((cache) => join(cache, `swiftshader-${version}`));
  const unpacked = folders.find(isUnpacked);
  if (unpacked) return unpacked;
  const files = [...tarFiles(brotliDecompressSync(readFileSync(archive)))].filter(([name]) =>
    [LOADER, DRIVER, ICD].includes(name),
  );
  const made = folders.find((folder) => unpackInto(folder, files));
  if (!made)
    throw new DeviceUnavailableError(
      `the software device could not be unpacked to ${folders.join(' or ')}: set XDG_CACHE_HOME to a folder ` +
        'of your own',
    );
  return made;
}

/** True in a process that was started on the software device. */
export const onSoftwareDevice = (): boolean => process.env[MARK] !== undefined;

/** Why this process was started on the software device, in words; undefined where it was not. */
export const softwareReason = (): string | undefined =>
  reasons[process.env[MARK]?.split(' ')[1] as SoftwareReason];

/** True when the caller asks for the software device even where a driver exists: SPANWISE_DEVICE=software. */
export function softwareForced(): boolean {
  const asked = process.env.SPANWISE_DEVICE;
  if (asked !== undefined && asked !== '' && asked !== 'software')
    throw new InputError(`SPANWISE_DEVICE is "${asked}"; it can be "software" or unset`);
  return asked === 'software';
}

/**
 * False where no Vulkan driver can be loaded at all, so that asking Dawn would only print its warnings: Linux without
 * libvulkan.so.1 in any place where the dynamic linker looks for it.
 */
export function mayHaveVulkan(): boolean {
  if (process.platform !== 'linux') return true;
  const folders = process.env.LD_LIBRARY_PATH?.split(':').filter(Boolean) ?? [];
  for (const lib of ['/lib', '/usr/lib', '/usr/local/lib'])
    folders.push(lib, `${lib}64`, `${lib}/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`);
  if (folders.some((folder) => existsSync(join(folder, LOADER)))) return true;
  try {
    return readFileSync('/etc/ld.so.cache').includes(LOADER);
  } catch {
    return false; // no cache: the folders above are all there is
  }
}

let watching = false;

/** Ends a restarted process when the one that it stands for is gone: whoever kills that one means this one. */
export function endWithParent(): void {
  const parent = process.ppid;
  // The variables pass on to children of the restarted process, which have their own parent.
  if (watching || process.env[MARK]?.split(' ')[0] !== String(parent)) return;
  watching = true;
  setInterval(() => {
    if (process.ppid !== parent) process.kill(process.pid, 'SIGTERM');
  }, PARENT_CHECK_MS).unref();
}

/** Runs this very process again on the software device and exits with its status. Never returns. */
export function restartOnSoftwareDevice(reason: SoftwareReason): never {
  const folder = unpackSoftwareDevice();
  const libraries = [folder, process.env.LD_LIBRARY_PATH].filter(Boolean).join(':');
  const icd = join(folder, ICD);
  const child = spawnSync(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    stdio: 'inherit',
    env: {
      ...process.env,
      [MARK]: `${process.pid} ${reason}`,
      VK_ICD_FILENAMES: icd,
      VK_DRIVER_FILES: icd,
      LD_LIBRARY_PATH: libraries,
    },
  });
  if (child.error)
    throw new DeviceUnavailableError(`the software device cannot be started: ${child.error.message}`, {
      cause: child.error,
    });
  if (child.signal) process.kill(process.pid, child.signal);
  process.exit(child.status ?? 1);
}
