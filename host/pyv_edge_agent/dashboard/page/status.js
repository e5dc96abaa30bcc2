// How the agent does, and whether the page is live.

import { byId, el, patch, setStatus, setText } from './dom.js';

export function showHealth({ status, components = {} }) {
  setStatus(byId('health'), status);
  document.title = status === 'healthy' ? 'Pyvorin Edge' : `${status} – Pyvorin Edge`;
  const wrong = Object.entries(components).filter(([, one]) => one.status !== 'healthy');
  byId('reasons').hidden = wrong.length === 0;
  patch(byId('reasons'), wrong.map(rowOf));
}

function rowOf([name, { status, reason }]) {
  const badge = el('span', { class: 'badge' });
  setStatus(badge, status);
  return el('li', { 'data-component': name }, badge, ' ', el('b', {}, name), ` ${reason}`);
}

/** Say whether the page is `live` or `stale`. */
export function showLive(state, text) {
  document.body.dataset.live = state;
  setText(byId('live'), text);
}
