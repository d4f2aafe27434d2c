/** The page: what its controls do. The work is the worker's. */
import {
  costHeads,
  costRow,
  make,
  markedText,
  relationTable,
  table,
  verifyHeads,
  verifyRow,
} from './view.js';
import { ask } from './worker-client.js';

/** None of the model's training sentences. */
const examples = {
  english: 'Lena Falk of the Corvin Institute measured the depth of Lake Ostra with an echo sounder.',
  chinese: '葡萄染上炭疽病，果面出现凹陷病斑，可喷咪鲜胺。',
};
const bundledAbout =
  'The bundled model: a CEREM of one layer, 32 wide, that reads Chinese on crops and their diseases and English ' +
  'on expeditions. It learnt in minutes from 691 short sentences, so it is a weak one: it knows sentences like ' +
  'those and little else, and is often wrong on other text.';

const element = (id) => document.getElementById(id);

/** Says that there is no WebGPU, in place of all that needs it. */
function unavailable(why) {
  for (const section of document.querySelectorAll('main > section')) section.hidden = true;
  element('missing').hidden = false;
  element('missing-why').textContent = why;
}

/** What does a control's work, once at a time; an error is shown in the control's section. */
function once(control, work) {
  const said = control.closest('section').querySelector('.error');
  return async () => {
    if (control.getAttribute('aria-disabled') === 'true') return;
    control.setAttribute('aria-disabled', 'true');
    said.textContent = '';
    try {
      await work();
    } catch ({ name, message }) {
      said.textContent = name === 'DeviceLostError' ? `${message}. Reload the page.` : message;
    } finally {
      control.removeAttribute('aria-disabled');
    }
  };
}

async function load(given, about) {
  const { title, parameters, draws, questions } = await ask('load', given);
  const counted = `${parameters.toLocaleString('en')} parameters.`;
  element('model').textContent = about ? `${about} ${counted}` : `${given.what}, a ${title}: ${counted}`;
  element('attention-section').hidden = !draws;
  element('prompt').replaceChildren(
    ...questions.map(({ type, prompt }) => make('option', prompt, { value: prompt, title: type })),
  );
  for (const id of ['found', 'attended']) element(id).hidden = true;
  for (const id of ['extracted', 'drawn']) element(id).textContent = '';
}

/** Loads the chosen folder: its files by their names in it. */
async function loadFolder() {
  const chosen = [...element('folder').files];
  if (chosen.length === 0) return;
  // A browser that chooses no folders gives files alone.
  const [what, ...inside] = chosen[0].webkitRelativePath.split('/');
  const files = chosen.map((file) => [
    inside.length > 0 ? file.webkitRelativePath.slice(what.length + 1) : file.name,
    file,
  ]);
  element('folder').value = ''; // so that the same folder can be chosen again
  await load({ files, what: what || 'the chosen files' });
}

function neededText() {
  const text = element('text').value;
  if (text.trim() === '') throw new Error('Write or paste a text first.');
  return text;
}

async function extract() {
  const { found, cost } = await ask('extract', { text: neededText() });
  const { entities, relations } = found;
  element('marked').lang = /\p{Script=Han}/u.test(found.text) ? 'zh' : '';
  element('marked').replaceChildren(...markedText(found));
  element('relations').replaceChildren(...(relations.length > 0 ? [relationTable(found)] : []));
  element('cost').replaceChildren(table([costHeads, costRow(cost)], 0));
  element('cost-note').textContent =
    cost.pipelines > 0
      ? `The time includes compiling (pipelines: ${cost.pipelines}): extract again for the time without.`
      : '';
  element('extracted').textContent = `${entities.length} entities, ${relations.length} relations`;
  element('found').hidden = false;
  // The attention is drawn for something that was found.
  const fitting = [...element('prompt').options].filter(({ title }) =>
    entities.some(({ type }) => type === title),
  );
  if (fitting.length > 0 && !fitting.some(({ selected }) => selected)) fitting[0].selected = true;
}

let drawing;
async function attend() {
  const [text, prompt] = [neededText(), element('prompt').value];
  const { svg, figures, passes } = await ask('attend', { text, prompt });
  URL.revokeObjectURL(drawing);
  drawing = URL.createObjectURL(new Blob([svg], { type: 'image/svg+xml' }));
  const asked = prompt && `, asked for ${prompt}`;
  Object.assign(element('map'), {
    src: drawing,
    alt: `Heatmaps of the attention to the text${asked}: a row for each token, a column for each that it attends to. The table below has their figures.`,
  });
  element('figures').replaceChildren(table(figures, 2));
  element('passes').replaceChildren(
    table([['', ...costHeads], ...passes.map((pass) => [pass.name, ...costRow(pass)])], 1),
  );
  element('passes-of').hidden = passes.length === 0;
  element('drawn').textContent = `The attention to “${text.slice(0, 40)}”${asked}`;
  element('attended').hidden = false;
}

async function verify() {
  const [stop, errors, verdict] = ['stop', 'errors', 'verified'].map(element);
  const results = table([verifyHeads], 1);
  errors.replaceChildren(results);
  verdict.textContent = '';
  let [all, agreeing] = [0, 0];
  const running = ask('verify', {}, (result) => {
    results.tBodies[0].append(verifyRow(result));
    errors.hidden = false;
    all++;
    if (result.ok) agreeing++;
  });
  stop.onclick = running.stop;
  stop.hidden = false;
  try {
    const tolerance = await running;
    verdict.textContent = `${agreeing} of ${all} kernels agree within ${tolerance}.`;
  } finally {
    if (document.activeElement === stop) element('verify').focus();
    stop.hidden = true;
  }
}

const loadBundled = once(element('bundled'), () => load({}, bundledAbout));
const extractNow = once(element('extract'), extract);
element('bundled').addEventListener('click', loadBundled);
element('folder').addEventListener('change', once(element('folder'), loadFolder));
element('extract').addEventListener('click', extractNow);
element('text').addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) extractNow();
});
element('attend').addEventListener('click', once(element('attend'), attend));
element('verify').addEventListener('click', once(element('verify'), verify));
for (const [id, text] of Object.entries(examples))
  element(id).addEventListener('click', () => (element('text').value = text));
element('text').value = examples.english;

async function start() {
  if (!navigator.gpu) return unavailable('navigator.gpu is not there.');
  try {
    const { name, vendor, software } = await ask('open');
    const about = software ? ' (a software device: slow)' : '';
    element('device').textContent = `Adapter: ${[vendor, name].filter(Boolean).join(' ')}${about}`;
  } catch ({ message }) {
    return unavailable(message);
  }
  return loadBundled();
}
start();
