/** A headless Chromium, that of the optional dependency, driven by the DevTools protocol over a pipe. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { brotliDecompressSync } from 'node:zlib';
import { cacheFolder, tarFiles } from '../../src/gpu/software.ts';

const PACKAGE = join('node_modules', '@sparticuz', 'chromium');

/** The browser's program, unpacked once into the cache folder. */
function program(): string {
  const { version } = JSON.parse(readFileSync(join(PACKAGE, 'package.json'), 'utf8')) as { version: string };
  const folder = join(cacheFolder(), `chromium-${version}`);
  if (!existsSync(folder)) {
    mkdirSync(cacheFolder(), { recursive: true, mode: 0o700 });
    const staging = mkdtempSync(`${folder}-`);
    const unpacked = (name: string): Buffer => brotliDecompressSync(readFileSync(join(PACKAGE, 'bin', name)));
    const files: [string, Buffer][] = [
      ['chromium', unpacked('chromium.br')],
      ...tarFiles(unpacked('swiftshader.tar.br')),
    ];
    for (const [name, bytes] of files) writeFileSync(join(staging, name), bytes, { mode: 0o755 });
    renameSync(staging, folder);
  }
  return join(folder, 'chromium');
}

/** Why there is no browser here; undefined where there is one. */
export function noBrowser(): string | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    return 'the Chromium of the tests is for Linux x64';
  if (!existsSync(PACKAGE)) return 'the optional dependency @sparticuz/chromium is not installed';
  // It may need a library that the system has not.
  const { status, stderr } = spawnSync(program(), ['--version'], { encoding: 'utf8' });
  return status === 0 ? undefined : `Chromium does not start: ${stderr.trim().split('\n')[0]}`;
}

type Json = Record<string, unknown>;
type Send = <T = Json>(method: string, params?: Json) => Promise<T>;

/** One tab. */
export class Page {
  constructor(readonly send: Send) {}

  /** The value of an expression in the page; a promise is waited for. Errors: what it throws. */
  async value<T>(expression: string): Promise<T> {
    const asked = { expression, returnByValue: true, awaitPromise: true };
    const { result, exceptionDetails } = await this.send<{
      result: { value: T };
      exceptionDetails?: { exception?: { description?: string }; text: string };
    }>('Runtime.evaluate', asked);
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  /** Waits until an expression holds. Errors: after a minute, with the text of the page. */
  async until(expression: string): Promise<void> {
    for (const end = Date.now() + 60_000; Date.now() < end; await new Promise((done) => setTimeout(done, 30)))
      if (await this.value<boolean>(`Boolean(${expression})`)) return;
    throw new Error(`${expression} never holds: ${await this.value<string>('document.body.innerText')}`);
  }

  /** Presses a key. `modifiers`: 2 is Ctrl, 8 is Shift. */
  async key(key: 'Tab' | 'Enter', modifiers = 0): Promise<void> {
    const [windowsVirtualKeyCode, text] = key === 'Tab' ? [9, ''] : [13, '\r'];
    for (const type of ['keyDown', 'keyUp'])
      await this.send('Input.dispatchKeyEvent', { type, key, windowsVirtualKeyCode, modifiers, text });
  }

  /** Sets the window's size in CSS pixels. */
  size(width: number, height: number, mobile = false): Promise<unknown> {
    return this.send('Emulation.setDeviceMetricsOverride', { width, height, mobile, deviceScaleFactor: 1 });
  }

  /** The whole page as PNG. */
  async picture(): Promise<Buffer> {
    await this.value('new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))');
    const whole = { captureBeyondViewport: true };
    const { data } = await this.send<{ data: string }>('Page.captureScreenshot', whole);
    return Buffer.from(data, 'base64');
  }
}

export interface Browser {
  /** Opens a page in a tab of its own. `before` runs in it before any of its scripts. */
  open(url: string, before?: string): Promise<Page>;
  close(): Promise<void>;
}

/** Starts the browser, with WebGPU on its software device. Nothing of it is left after `close`. */
export function startBrowser(): Browser {
  const profile = mkdtempSync(join(tmpdir(), 'spanwise-browser-'));
  const flags = [
    ...['--headless', '--no-sandbox', '--no-zygote', '--single-process', '--in-process-gpu'],
    ...['--remote-debugging-pipe', `--user-data-dir=${profile}`, '--hide-scrollbars'],
    ...['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'],
  ];
  const child = spawn(program(), flags, { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
  const [to, from] = [child.stdio[3] as Writable, child.stdio[4] as Readable];
  const ended = new Promise<void>((done) => child.on('close', () => done()));
  const waiting = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>();
  let said = '';
  from.setEncoding('utf8').on('data', (chunk: string) => {
    const messages = (said + chunk).split('\0');
    said = messages.pop() ?? '';
    for (const message of messages) {
      const { id, result, error } = JSON.parse(message) as { id?: number; result: unknown; error?: Error };
      const asked = id === undefined ? undefined : waiting.get(id);
      if (error) asked?.reject(new Error(error.message));
      else asked?.resolve(result);
    }
  });
  child.on('close', () => {
    for (const { reject } of waiting.values()) reject(new Error('the browser has ended'));
  });
  let count = 0;
  const send = <T>(method: string, params: Json = {}, sessionId?: string): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      waiting.set(++count, { resolve: resolve as (result: unknown) => void, reject });
      to.write(`${JSON.stringify({ id: count, method, params, sessionId })}\0`);
    });
  return {
    async open(url, before) {
      const { targetId } = await send<{ targetId: string }>('Target.createTarget', { url: 'about:blank' });
      const attached = { targetId, flatten: true };
      const { sessionId } = await send<{ sessionId: string }>('Target.attachToTarget', attached);
      const page = new Page((method, params) => send(method, params, sessionId));
      await page.send('Page.enable');
      if (before) await page.send('Page.addScriptToEvaluateOnNewDocument', { source: before });
      await page.send('Page.navigate', { url });
      return page;
    },
    async close() {
      send('Browser.close').catch(() => undefined);
      const timer = setTimeout(() => child.kill('SIGKILL'), 3000);
      await ended;
      clearTimeout(timer);
      rmSync(profile, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}
