/** The suite in a headless Chromium, on the software device that it brings. */
import { pathToFileURL } from 'node:url';
import { noBrowser, startBrowser } from '../../test/web/browser.ts';
import type { Engine } from './engine.ts';
import type { Answer } from './suite.ts';

/** Its version by its own account, which the user agent shortens. */
const VERSION =
  "navigator.userAgentData.getHighEntropyValues(['uaFullVersion']).then(({ uaFullVersion }) => uaFullVersion)";

export const chromium = (): Engine => ({
  name: 'Chromium',
  driver: 'software device',
  missing: noBrowser(),
  async run(suite, asked) {
    const browser = startBrowser();
    try {
      // The module itself is the page: it shows its text, and a file's page has WebGPU.
      const page = await browser.open(pathToFileURL(suite).href);
      await page.until("document.readyState === 'complete'");
      const module =
        "URL.createObjectURL(new Blob([document.body.textContent], { type: 'text/javascript' }))";
      const answer = await page.value<Answer>(
        `import(${module}).then(({ run }) => run(navigator.gpu, ${JSON.stringify(asked)}))`,
      );
      return { version: await page.value<string>(VERSION), webgpu: 'Dawn', answer };
    } finally {
      await browser.close();
    }
  },
});
