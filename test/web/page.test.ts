/** The page of examples/web in a real browser, at the sizes of a desk and of a phone. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import test from 'tape';
import { loadModel, openRuntime } from '../../src/node.ts';
import { noBrowser, startBrowser, type Browser, type Page } from './browser.ts';

const skip = noBrowser();
const folder = mkdtempSync(join(tmpdir(), 'spanwise-web-'));
const file = join(folder, 'index.html');
const url = pathToFileURL(file).href;
let browser: Browser | undefined;
let page: Page;
test.onFinish(() => {
  void browser?.close();
  rmSync(folder, { recursive: true, force: true });
});
function inBrowser(name: string, check: (t: test.Test) => Promise<void>): void {
  test(name, { skip: skip && `${name}: ${skip}` }, check);
}

/** Keeps a picture of the page where SPANWISE_SCREENSHOTS names a folder. */
async function picture(name: string): Promise<void> {
  const to = process.env.SPANWISE_SCREENSHOTS;
  if (!to) return;
  mkdirSync(to, { recursive: true });
  writeFileSync(join(to, `${name}.png`), await page.picture());
}

const textOf = (id: string): Promise<string> => page.value(`document.getElementById('${id}').textContent`);
const press = (id: string): Promise<void> => page.value(`document.getElementById('${id}').click()`);
/** The texts of a table's cells, row by row. */
const cells = (id: string): Promise<string[][]> =>
  page.value(
    `[...document.querySelectorAll('#${id} tbody tr')].map((row) => [...row.cells].map((cell) => cell.textContent))`,
  );
/** Waits until what a control started is done. */
const idle = (): Promise<void> =>
  page.until(
    "document.getElementById('status').textContent === '' && !document.querySelector('[aria-disabled=true]')",
  );

/** Texts whose contrast with what is behind them is below WCAG's 4.5, of those that are seen. */
const faintTexts = (): Promise<string[]> =>
  page.value(`(() => {
    const pixel = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    const channels = (colour) => {
      pixel.clearRect(0, 0, 1, 1);
      pixel.fillStyle = colour;
      pixel.fillRect(0, 0, 1, 1);
      return [...pixel.getImageData(0, 0, 1, 1).data];
    };
    const light = (rgb) => {
      const [r, g, b] = rgb.map((c) => ((c / 255) <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (element) => {
      const [r, g, b, a] = channels(getComputedStyle(element).backgroundColor);
      return a === 255 ? [r, g, b] : behind(element.parentElement);
    };
    const own = (element) => [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    return [...document.querySelectorAll('body *')].filter((e) => own(e) && e.checkVisibility()).flatMap((e) => {
      const [a, b] = [light(channels(getComputedStyle(e).color).slice(0, 3)), light(behind(e))].sort((x, y) => y - x);
      const contrast = (a + 0.05) / (b + 0.05);
      return contrast < 4.5 ? [contrast.toFixed(2) + ' ' + e.textContent.slice(0, 40)] : [];
    });
  })()`);

const scheme = (value: 'dark' | 'light'): Promise<unknown> =>
  page.send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value }] });

test('it builds to one file', (t) => {
  execFileSync(process.execPath, ['examples/web/build.mjs', file]);
  const html = readFileSync(file, 'utf8');
  t.notOk(/<(script|link|img)\b[^>]*\b(src|href)=/.test(html), 'that names no other');
  t.ok(html.length < 1_500_000, `${html.length} characters`);
  t.end();
});

inBrowser('it opens from a disk and loads its model', async (t) => {
  browser = startBrowser();
  page = await browser.open(url);
  await page.size(1280, 900);
  await page.until("document.getElementById('model')?.textContent");
  t.match(await textOf('device'), /swiftshader.*software/);
  t.match(await textOf('model'), /bundled model: a CEREM.* weak .* parameters/);
  await idle();
});

inBrowser('by the keyboard alone a text gives what Node finds in it', async (t) => {
  const order: string[] = [];
  for (let i = 0; i < 12; i++) {
    await page.key('Tab');
    order.push(await page.value('document.activeElement.id'));
    t.notEqual(await page.value('getComputedStyle(document.activeElement).outlineStyle'), '', order[i]);
    if (order.at(-1) === 'verify') break;
  }
  const wanted = ['folder', 'bundled', 'text', 'extract', 'english', 'chinese', 'prompt', 'attend', 'verify'];
  t.deepEqual(order, wanted, 'every control in its order');

  await page.value(`globalThis.said = new Set();
    new MutationObserver(() => said.add(document.getElementById('status').textContent))
      .observe(document.getElementById('status'), { childList: true })`);
  const runtime = await openRuntime();
  try {
    const model = await loadModel(runtime, 'examples/web/model');
    for (const text of [
      '葡萄染上炭疽病，果面出现凹陷病斑，可喷咪鲜胺。',
      'Lena Falk of the Corvin Institute measured the depth with an echo sounder.',
    ]) {
      const { entities, relations } = await model.extract(text);
      t.ok(entities.length >= 3 && relations.length >= 1, `${entities.length} and ${relations.length}`);
      await page.value("document.getElementById('text').focus(); document.getElementById('text').select()");
      await page.send('Input.insertText', { text });
      await page.value('globalThis.ticks = 0; globalThis.ticking ??= setInterval(() => ticks++, 20)');
      await page.key('Enter', 2);
      await page.until("document.querySelector('#extract[aria-disabled=true]')");
      await idle();
      t.ok((await page.value<number>('ticks')) > 3, 'the page goes on meanwhile');
      t.equal(await textOf('extracted'), `${entities.length} entities, ${relations.length} relations`);
      const shown = await page.value(`(() => {
        const copy = document.getElementById('marked').cloneNode(true);
        for (const type of copy.querySelectorAll('.type')) type.remove();
        return copy.textContent;
      })()`);
      t.equal(shown, text, 'the text is whole');
      t.deepEqual(
        (
          await page.value<string[]>("[...document.querySelectorAll('mark')].map((mark) => mark.textContent)")
        ).sort(),
        entities.map((entity) => entity.text).sort(),
      );
      t.deepEqual(
        await cells('relations'),
        relations.map(({ type, head, tail, score }, i) => [
          ...[String(i + 1), entities[head].text, type, entities[tail].text, score.toFixed(2)],
        ]),
      );
    }
  } finally {
    runtime.close();
  }
  const said = await page.value<string[]>('[...said]');
  t.ok(said.includes('extracting') && said.length > 2, `what is under way is said: ${said.join(', ')}`);
  const [[tokens, ...costs]] = await cells('cost');
  t.ok(Number(tokens) > 10, `${tokens} tokens`);
  t.match(costs.join(', '), /^[\d.,]+ ms, [\d.,]+ ms, [\d.]+ [MG]FLOP, [\d,]+$/);
});

inBrowser('it draws the attention with segments and without, and tells the cost of both', async (t) => {
  t.equal(await page.value("document.getElementById('prompt').value"), 'person', 'to what was found');
  await press('attend');
  await page.until("document.getElementById('map').naturalWidth > 0");
  const figures = await cells('figures');
  t.deepEqual(
    figures.map(([branch, segments]) => `${branch} ${segments}`),
    ['start with', 'start without', 'end with', 'end without'],
  );
  const passes = await cells('passes');
  t.deepEqual(
    passes.map(([name]) => name),
    ['with segments', 'without segments'],
  );
  const [dispatchesWith, dispatchesWithout] = passes.map((row) => Number(row[5]));
  t.ok(dispatchesWith > dispatchesWithout && dispatchesWithout > 5, 'dispatches');
  t.ok(
    passes.every((row) => /ms$/.test(row[2]) && /FLOP$/.test(row[4])),
    passes.join(' | '),
  );
});

inBrowser('it verifies kernels on its adapter until it is stopped', async (t) => {
  await press('verify');
  await page.until("document.querySelectorAll('#errors tbody tr').length >= 3");
  await press('stop');
  await idle();
  const rows = await cells('errors');
  t.equal(rows[0][0], 'adamw');
  t.ok(
    rows.every((row) => row[7] === 'ok' && Number(row[2]) < 1e-4 && Number(row[2]) <= Number(row[3])),
    rows.join(' | '),
  );
  t.equal(await textOf('verified'), `${rows.length} of ${rows.length} kernels agree within 0.0001.`);
});

inBrowser('every control has a name, and every text contrast, in light and dark', async (t) => {
  const { nodes } = await page.send<{
    nodes: { ignored: boolean; role?: { value: string }; name?: { value: string } }[];
  }>('Accessibility.getFullAXTree');
  const named = nodes.filter(
    ({ ignored, role }) =>
      !ignored && /^(button|textbox|combobox|image|region|progressbar|RootWebArea)$/.test(role?.value ?? ''),
  );
  t.ok(named.length >= 15, `${named.length} of them`);
  t.deepEqual(
    named.filter(({ name }) => !name?.value).map(({ role }) => role?.value),
    [],
  );
  for (const value of ['light', 'dark'] as const) {
    await scheme(value);
    t.deepEqual(await faintTexts(), [], value);
    await picture(`desk-${value}`);
  }
});

inBrowser('on a phone nothing is cut off, and what is pressed is large enough', async (t) => {
  await scheme('light');
  await page.size(390, 844, true);
  const wide =
    "[...document.querySelectorAll('body *')].filter((e) => !e.closest('.scroll') && e.getBoundingClientRect().right > 390).map((e) => e.id || e.tagName)";
  t.deepEqual(await page.value(wide), []);
  t.equal(await page.value('document.documentElement.scrollWidth'), 390);
  const small =
    "[...document.querySelectorAll('button, .button, select')].filter((e) => e.checkVisibility() && e.offsetHeight < 44).map((e) => e.id)";
  t.deepEqual(await page.value(small), []);
  await picture('phone');
});

inBrowser('a folder that a person chooses is loaded, or what is wrong with it said', async (t) => {
  const choose = async (path: string): Promise<void> => {
    const { root } = await page.send<{ root: { nodeId: number } }>('DOM.getDocument');
    const { nodeId } = await page.send<{ nodeId: number }>('DOM.querySelector', {
      nodeId: root.nodeId,
      selector: '#folder',
    });
    await page.send('DOM.setFileInputFiles', { nodeId, files: [resolve(path)] });
  };
  const said = "document.querySelector('#folder').closest('section').querySelector('.error').textContent";
  await choose('test/fixtures/safetensors');
  await page.until(said);
  t.equal(await page.value(said), 'safetensors/config.json: no such file');
  await choose('test/fixtures/cerem/no-branches');
  await page.until("document.getElementById('model').textContent.startsWith('no-branches')");
  t.match(await textOf('model'), /^no-branches, a CEREM: [\d,]+ parameters/);
  t.equal(await page.value(said), '', 'the error is gone');
});

inBrowser('without WebGPU it says so and what to do', async (t) => {
  page = await browser!.open(url, 'delete Navigator.prototype.gpu');
  await page.size(390, 844, true);
  await page.until("document.getElementById('missing')?.checkVisibility()");
  t.match(await textOf('missing'), /no WebGPU[^]*Chrome or Edge[^]*https/);
  await picture('phone-missing');
});
