/**
 * Node only: the software Vulkan driver (SwiftShader) inside the optional dependency `@sparticuz/chromium`, for
 * machines with no GPU driver. It is unpacked once into a cache folder and loaded into the running process.
 *
 * Dawn opens `libvulkan.so.1` by that name, and the dynamic linker answers with a library of that SONAME that is in the
 * process already. So the driver is given this SONAME when it is unpacked and stands in for the Vulkan loader: no
 * variable has to be set before the process starts, and it works in a worker, whose process.env is a copy.
 */
import { existsSync, lstatSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants, homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { brotliDecompressSync } from 'node:zlib';
import { InputError } from '../../kernels/errors.ts';
import { makeFolders } from '../io/make-folders.ts';
import { DeviceUnavailableError } from './errors.ts';

const ARCHIVE = 'swiftshader.tar.br';
/** The driver's name in the archive, and its SONAME there. */
const DRIVER = 'libvk_swiftshader.so';
/** Its name in the cache folder and its SONAME there: what Dawn asks for. */
const LOADER = 'libvulkan.so.1';
const ICD = 'icd.json';
/** dlopen's flag that keeps a library in the process when it is closed; glibc's value, which Node does not name. */
const RTLD_NODELETE = 0x1000;

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

/** The driver under the SONAME of the Vulkan loader, which is shorter: the name is overwritten where it stands. */
function renamed(driver: Buffer): Buffer {
  const at = driver.indexOf(`\0${DRIVER}\0`);
  if (at < 0) throw new DeviceUnavailableError(`${ARCHIVE}: ${DRIVER} does not hold its own name`);
  const result = Buffer.from(driver);
  result.write(LOADER.padEnd(DRIVER.length, '\0'), at + 1, 'latin1');
  return result;
}

/** What tells a system's Vulkan loader of the driver beside it. */
const icd = { file_format_version: '1.0.0', ICD: { library_path: `./${LOADER}`, api_version: '1.0.5' } };

/** Regular files of a tar archive by base name (ustar: 512-byte headers, octal sizes). */
export function* tarFiles(tar: Buffer): Generator<[string, Buffer]> {
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

/** Permission to write, of the group and of all others. */
const BY_OTHERS = 0o022;

/**
 * Whether a folder is the user's own and nobody else may write to it: code from it is loaded into the process, and anyone
 * may make a folder, or a link, of a name that can be foreseen in the temporary folder.
 */
function isOwn(folder: string): boolean {
  try {
    const status = lstatSync(folder);
    return status.isDirectory() && status.uid === process.getuid?.() && (status.mode & BY_OTHERS) === 0;
  } catch {
    return false; // it is not there, or a part of its path is none of the user's
  }
}

/** True when the driver is in a folder that the user alone could fill. */
const isUnpacked = (folder: string): boolean =>
  isOwn(dirname(folder)) && isOwn(folder) && existsSync(join(folder, LOADER));

/** Puts the driver into a folder, whole or not at all. True when it is there. */
function unpackInto(folder: string, files: readonly [string, Buffer][]): boolean {
  let staging: string | undefined;
  try {
    makeFolders(dirname(folder), 0o700);
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
 * @returns the folder with the driver and its ICD json. Errors: DeviceUnavailableError saying what to install.
 */
export function unpackSoftwareDevice(): string {
  const archive = archivePath();
  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw new DeviceUnavailableError(
      'no WebGPU adapter was found, and the software device is for Linux x64: install a GPU driver',
    );
  if (!archive)
    throw new DeviceUnavailableError(
      'no WebGPU adapter was found, and the software device is not installed: install a Vulkan driver, or ' +
        '`npm install @sparticuz/chromium@147.0.0`',
    );
  const { version } = JSON.parse(readFileSync(join(dirname(archive), '..', 'package.json'), 'utf8')) as {
    version: string;
  };
  const folders = cacheFolders().map((cache) => join(cache, `swiftshader-${version}-preloaded`));
  const unpacked = folders.find(isUnpacked);
  if (unpacked) return unpacked;
  const driver = new Map(tarFiles(brotliDecompressSync(readFileSync(archive)))).get(DRIVER);
  if (!driver) throw new DeviceUnavailableError(`${archive}: holds no ${DRIVER}`);
  const files: [string, Buffer][] = [
    [ICD, Buffer.from(JSON.stringify(icd))],
    [LOADER, renamed(driver)],
  ];
  const made = folders.find((folder) => unpackInto(folder, files));
  if (!made)
    throw new DeviceUnavailableError(
      `the software device could not be unpacked to ${folders.join(' or ')}: set XDG_CACHE_HOME to a folder ` +
        'of your own that nobody else may write to',
    );
  return made;
}

let taken: SoftwareReason | undefined;

/** Why this process uses the software device, in words; undefined where it does not. */
export const softwareReason = (): string | undefined => taken && reasons[taken];

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

/**
 * Loads the software driver into this process, so that the next Dawn instance finds it.
 *
 * Where Dawn has opened a system's Vulkan loader before (`no-adapter`), the name is taken, and the driver is made known to
 * that loader by its variables instead: process.env of the main thread is the process's own.
 * Errors: DeviceUnavailableError (not installed, cannot be unpacked or loaded; a worker where the name is taken).
 */
export function useSoftwareDevice(reason: SoftwareReason): void {
  if (taken) return;
  const folder = unpackSoftwareDevice();
  if (reason === 'no-adapter' && !isMainThread)
    throw new DeviceUnavailableError(
      'no WebGPU adapter was found, and a worker cannot change that: set SPANWISE_DEVICE=software before the program starts',
    );
  if (mayHaveVulkan()) process.env.VK_DRIVER_FILES = process.env.VK_ICD_FILENAMES = join(folder, ICD);
  try {
    process.dlopen({ exports: {} }, join(folder, LOADER), constants.dlopen.RTLD_NOW | RTLD_NODELETE);
  } catch (error) {
    // It is no Node module, which is what Node says once it has loaded it.
    const { message } = error as Error;
    if (!message.includes('did not self-register'))
      throw new DeviceUnavailableError(`the software device cannot be loaded: ${message}`, { cause: error });
  }
  taken = reason;
}
