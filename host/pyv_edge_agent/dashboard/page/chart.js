// The chart of the sensor that was chosen: which times it shows, and what it loads.

import { get } from './api.js';
import { showChart, startCursor } from './cursor.js';
import { byId, el, setText } from './dom.js';
import { DAY, HOUR, MINUTE, SECOND, inputTime, now } from './format.js';
import { Poll } from './poll.js';
import { eventItem, gapItem } from './timeline.js';

const RANGES = { '5 min': 5 * MINUTE, '1 h': HOUR, '24 h': DAY, '7 d': 7 * DAY, '30 d': 30 * DAY };
const CADENCES = [[10 * MINUTE, 2 * SECOND], [2 * HOUR, 10 * SECOND], [Infinity, MINUTE]];
const SPAN_MIN_MS = 2 * SECOND;
const SPAN_MAX_MS = 3650 * DAY;
const MARKS_MS = 10 * SECOND; // events and gaps are asked for no more often
const MARKS_MOST = 300;

const section = byId('chart');
const plot = byId('plot');

let channel = null; // whose chart it is; null: none is open
let span = 5 * MINUTE;
let fixedEnd = null; // null: it moves with time
let marks = [];
let marksKey = '';

export const chartPoll = new Poll(load, Infinity, 'chart-note');

export const openSensor = () => channel?.sensor;

/** Make the controls work; `onClose(info)` is called when people close the chart. */
export function startChart(onClose) {
  for (const [text, ms] of Object.entries(RANGES)) {
    const button = el('button', { 'data-span': ms }, text);
    button.addEventListener('click', () => show(ms, null));
    byId('ranges').append(button);
  }
  for (const button of section.querySelectorAll('[data-pan], [data-zoom]')) {
    const { pan: part, zoom: factor } = button.dataset;
    button.addEventListener('click', () => (part ? pan(Number(part)) : zoom(Number(factor))));
  }
  byId('follow').addEventListener('click', () => show(span, fixedEnd === null ? now() : null));
  byId('chart-close').addEventListener('click', () => onClose(channel));
  byId('times').addEventListener('submit', showTimes);
  byId('times').addEventListener('input', () => byId('to').setCustomValidity(''));
  section.addEventListener('keydown', ({ key }) => key === 'Escape' && onClose(channel));
  startCursor(pan, zoom);
}

/** Open the chart of a channel; it keeps the times that are shown. */
export function openChart(info) {
  channel = info;
  section.hidden = false;
  showChart(null);
  setText(byId('chart-title'), info.sensor);
  show(span, fixedEnd);
  byId('chart-title').focus({ preventScroll: true });
  section.scrollIntoView({ block: 'nearest' });
}

export function closeChart() {
  channel = null;
  section.hidden = true;
}

export function markEvent(event) {
  if (event.metadata.sensor_name === channel?.sensor) refresh();
}

function show(spanMs, endMs) {
  span = Math.min(Math.max(Math.round(spanMs), SPAN_MIN_MS), SPAN_MAX_MS);
  fixedEnd = endMs === null || endMs > now() ? null : Math.max(Math.round(endMs), span);
  for (const button of byId('ranges').children) {
    button.setAttribute('aria-pressed', Number(button.dataset.span) === span);
  }
  byId('follow').setAttribute('aria-pressed', fixedEnd === null);
  const cadence = CADENCES.find(([most]) => span <= most)[1];
  chartPoll.everyMs = fixedEnd === null ? cadence : Infinity;
  refresh();
}

function refresh() {
  marksKey = '';
  chartPoll.wake();
}

function pan(direction) {
  show(span, (fixedEnd ?? now()) + (direction * span) / 4);
}

/** Zoom about a time; about none, a chart that moves with time goes on to. */
function zoom(factor, centre = null) {
  if (centre === null && fixedEnd === null) return show(span * factor, null);
  const end = fixedEnd ?? now();
  const about = centre ?? end - span / 2;
  return show(span * factor, about + (end - about) * factor);
}

function showTimes(event) {
  event.preventDefault();
  const [from, to] = [byId('from'), byId('to')].map((input) => new Date(input.value).getTime());
  const end = Math.min(to, now());
  if (from < end) return show(end - from, end);
  byId('to').setCustomValidity('No time is between these.');
  return byId('to').reportValidity();
}

async function load() {
  const mine = channel;
  if (!mine) return;
  const end = fixedEnd ?? now();
  const times = { start_ms: Math.max(0, end - span), end_ms: end };
  const points = Math.min(Math.max(plot.clientWidth, 2), 4000);
  const [chart] = await Promise.all([
    get('/api/v1/readings', { sensor: mine.sensor, ...times, points }),
    loadMarks(mine, times),
  ]);
  if (mine !== channel) return;
  setText(byId('chart-note'), '');
  showChart({ chart, marks, start: times.start_ms, end });
  for (const [id, ms] of [['from', times.start_ms], ['to', end]]) {
    if (!byId('times').contains(document.activeElement)) byId(id).value = inputTime(ms);
  }
}

async function loadMarks({ sensor, device }, times) {
  const key = [sensor, span, Math.floor(times.end_ms / MARKS_MS)].join(' ');
  if (key === marksKey) return;
  const [{ events }, { gaps }] = await Promise.all([
    get('/api/v1/events', { ...times, limit: MARKS_MOST }),
    get('/api/v1/gaps', { ...times, limit: MARKS_MOST }),
  ]);
  marksKey = key;
  marks = [
    ...events.filter((event) => event.metadata.sensor_name === sensor).map(eventItem),
    ...gaps.filter((gap) => gap.device === device).map(gapItem),
  ];
}
