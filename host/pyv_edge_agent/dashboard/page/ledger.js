// What became of every reading, and whether it adds up.

import { get } from './api.js';
import { byId, el, patch, setStatus, setText } from './dom.js';
import { clockTime, count } from './format.js';

const TERMS = ['sampled', 'stored', 'denied', 'aggregated', 'lost', 'reset', 'in_flight'];
const SIGNS = ['', '=']; // of the others: +

export async function loadLedger() {
  const ledger = await get('/api/v1/ledger');
  const { balanced } = ledger;
  byId('ledger').dataset.balanced = balanced;
  setStatus(
    byId('balanced'),
    balanced ? 'healthy' : 'unhealthy',
    `every reading is accounted for: ${balanced ? 'yes' : 'no'}`,
  );
  const how = ledger.is_counted ? '' : ', by the counters; the rows were not counted';
  setText(byId('ledger-note'), `At ${clockTime(ledger.time_ms)}${how}.`);
  patch(byId('ledger').tBodies[0], TERMS.map((term, index) => el(
    'tr',
    { 'data-term': term, 'data-count': ledger[term] },
    el('td', { class: 'sign' }, SIGNS[index] ?? '+'),
    el('th', { scope: 'row' }, term.replace('_', ' ')),
    el('td', {}, count(ledger[term])),
  )));
}
