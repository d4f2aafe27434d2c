/** The page's side of the worker: requests, their answers, and the line that says how far they are. */

/* global WORKER */
// The text of worker.js, bundled: a worker from a text needs no server.
const worker = new Worker(URL.createObjectURL(new Blob([WORKER], { type: 'text/javascript' })));
const waiting = new Map();
let asked = 0;

/** Shows in the line at the bottom what is being done. */
function show(what = '', done, total) {
  document.getElementById('status').textContent = what;
  const bar = document.getElementById('progress');
  bar.hidden = what === '';
  if (total) Object.assign(bar, { max: total, value: done });
  else bar.removeAttribute('value');
}

worker.addEventListener('message', ({ data: { id, progress, answer, error } }) => {
  const { resolve, reject, onResult } = waiting.get(id);
  if (progress) {
    show(progress.what, progress.done, progress.total);
    if (progress.result) onResult?.(progress.result);
    return;
  }
  waiting.delete(id);
  if (waiting.size === 0) show();
  if (error) reject(error);
  else resolve(answer);
});
worker.addEventListener('error', ({ message }) => {
  for (const { reject } of waiting.values())
    reject({ name: 'Error', message: message || 'the worker does not run' });
  waiting.clear();
  show();
});

/**
 * Asks the worker (the requests of worker.js); requests are answered in turn.
 * @param onResult told what comes before the answer
 * @returns a promise of the answer with `stop()`; it rejects with the name and message of an error
 */
export function ask(request, given = {}, onResult) {
  const id = ++asked;
  const answer = new Promise((resolve, reject) => waiting.set(id, { resolve, reject, onResult }));
  worker.postMessage({ id, request, ...given });
  return Object.assign(answer, { stop: () => worker.postMessage({ id, stop: true }) });
}
