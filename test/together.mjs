// Runs the built test files that it is given in this process: their tests begin when all are loaded.
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import test from 'tape';

test.wait();
const harness = test.getHarness();
const files = [];
for (const file of process.argv.slice(2)) {
  const before = harness._tests.length;
  await import(pathToFileURL(resolve(file)).href);
  files.push({ file, tests: harness._tests.slice(before) });
}
// What asserts nothing would pass unseen.
test.onFinish(() => {
  for (const { file, tests } of files)
    if (!tests.some(({ assertCount }) => assertCount > 0))
      console.log(`not ok ${file}: nothing was asserted`);
});
test.run();
