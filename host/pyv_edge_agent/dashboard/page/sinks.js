// Where readings are sent to, and what waits for it.

import { byId, el, patch, setStatus, setText } from './dom.js';
import { SECOND, count, counted, duration } from './format.js';

export function showSinks({ sinks = {}, components = {} }) {
  const rows = Object.entries(sinks).flatMap(([name, sink]) => (
    rowsOf(name, sink, components[`sink/${name}`] ?? {})
  ));
  byId('sinks').hidden = rows.length === 0;
  patch(byId('sinks').tBodies[0], rows);
  setText(byId('sinks-note'), rows.length > 0 ? '' : 'There are none.');
}

function rowsOf(name, sink, { status = '', reason }) {
  const badge = el('span', { class: 'badge' });
  setStatus(badge, status);
  const age = sink.oldest_pending_age_seconds;
  const cell = (kind, text) => el('td', { class: kind }, text);
  return [
    el(
      'tr',
      { 'data-sink': name, 'data-status': status },
      el('th', { scope: 'row' }, name),
      cell('waiting', count(sink.pending_readings + sink.pending_items)),
      cell('oldest', age === null ? '–' : duration(age * SECOND)),
      cell('delivered', count(sink.readings_delivered_total)),
      cell('dead', count(sink.dead_total)),
    ),
    el('tr', { class: 'why' }, el('td', { colspan: 5 }, badge, ' ', whyText(sink, reason))),
  ];
}

function whyText(sink, reason) {
  const parts = [reason || sink.problem];
  if (sink.is_circuit_open) parts.push('it is left alone for a while');
  if (sink.withheld_total > 0) parts.push(`${counted(sink.withheld_total, 'reading')} withheld`);
  return parts.filter(Boolean).join('; ');
}
