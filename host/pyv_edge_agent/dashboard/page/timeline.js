// The newest events and gaps, newest first.

import { get } from './api.js';
import { byId, el, patch, setText } from './dom.js';
import { SECOND, counted, dateTime } from './format.js';

const MOST = 50;
const SYMBOLS = { info: '●', warning: '▲', critical: '■', gap: '◆' };

let items = []; // oldest first
let arrived = []; // by the stream, while others were being loaded

export async function loadTimeline() {
  arrived = [];
  const [{ events }, { gaps }] = await Promise.all([
    get('/api/v1/events', { limit: MOST }),
    get('/api/v1/gaps', { limit: MOST }),
  ]);
  show([...events.map(eventItem), ...gaps.map(gapItem), ...arrived]);
}

export function takeEvent(event) {
  arrived.push(eventItem(event));
  show([...items, eventItem(event)]);
}

/** An event as the time line and the chart show it. */
export function eventItem({ rule_name: rule, timestamp, severity, message, metadata }) {
  return {
    key: [timestamp, rule, metadata.sensor_name, metadata.state].join('\n'),
    kind: severity,
    timeMs: timestamp * SECOND,
    text: message,
    word: metadata.state === 'resolved' ? `${severity}, resolved` : severity,
  };
}

export function gapItem({ timestamp, device, boot, stream, first_seq: seq, count, cause }) {
  const what = counted(count, stream === 'events' ? 'event' : 'reading');
  return {
    key: [device, boot, stream, seq, count].join('\n'),
    kind: 'gap',
    timeMs: timestamp * SECOND,
    text: `${what} of ${device} lost: ${cause}`,
    word: 'gap',
  };
}

function show(all) {
  const different = [...new Map(all.map((item) => [item.key, item])).values()];
  items = different.sort((one, other) => one.timeMs - other.timeMs).slice(-MOST);
  patch(byId('timeline'), items.toReversed().map(rowOf));
  setText(byId('timeline-note'), items.length > 0 ? '' : 'None yet.');
}

function rowOf({ kind, timeMs, text, word }) {
  return el(
    'li',
    { 'data-kind': kind, 'data-time': timeMs },
    el('span', { class: 'symbol', role: 'img', 'aria-label': word, title: word }, SYMBOLS[kind]),
    el('p', {}, el('time', {}, dateTime(timeMs)), ' ', el('span', { class: 'text' }, text)),
  );
}
