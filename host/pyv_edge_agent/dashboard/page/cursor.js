// The plot as people use it: a cursor by mouse, finger or keys, and what it tells.

import { setChartData } from './chart_data.js';
import { byId, setText, svg } from './dom.js';
import { counted, dateTime, holeText, withUnit } from './format.js';
import { draw } from './plot.js';

const plot = byId('plot');

let shown = null; // {chart, marks, start, end}
let plotted = null;
let stops = []; // where the cursor can be: at points and holes, in order of time
let cursor = -1; // index of its stop; -1: there is no cursor

/** Let people move the cursor; `pan(direction)` and `zoom(factor, timeMs)` do the rest. */
export function startCursor(pan, zoom) {
  plot.addEventListener('keydown', (event) => takeKey(event, pan, zoom));
  for (const name of ['pointermove', 'pointerdown']) plot.addEventListener(name, point);
  plot.addEventListener('blur', () => setCursor(-1));
  plot.addEventListener('pointerleave', ({ pointerType }) => {
    if (pointerType !== 'touch') setCursor(-1); // a finger covers what it points at
  });
  new ResizeObserver(redraw).observe(plot);
}

/** Show a chart; null: none. */
export function showChart(readings) {
  const timeMs = stops[cursor]?.time;
  shown = readings;
  stops = shown ? stopsOf(shown.chart) : [];
  cursor = timeMs === undefined ? -1 : nearest(timeMs);
  plot.replaceChildren();
  setText(byId('readout'), '');
  if (!shown) return;
  setChartData(shown);
  plot.setAttribute('aria-valuemin', 0);
  plot.setAttribute('aria-valuemax', Math.max(0, stops.length - 1));
  redraw();
}

function redraw() {
  if (!shown || plot.clientWidth === 0) return;
  plotted = draw(shown, plot.clientWidth);
  plot.replaceChildren(plotted.drawing);
  setCursor(cursor);
}

function stopsOf(chart) {
  const points = chart.times_ms.map((time, index) => ({
    time: time + chart.bucket_ms / 2,
    value: chart.mean[index],
    text: `${dateTime(time)}  ${pointText(chart, index)}`,
  }));
  const holes = chart.holes.map((hole) => ({
    hole,
    time: (hole.start_ms + hole.end_ms) / 2,
    value: null,
    text: `${dateTime(hole.start_ms)} to ${dateTime(hole.end_ms)}  ${holeText(hole)}`,
  }));
  return [...points, ...holes].sort((one, other) => one.time - other.time);
}

function pointText({ mean, min, max, count, bad, unit }, index) {
  const notes = [];
  if (min[index] !== max[index]) {
    notes.push(`${withUnit(min[index], '')} to ${withUnit(max[index], unit)}`);
  }
  if (count[index] > 1) notes.push(counted(count[index], 'reading'));
  if (bad[index] > 0) notes.push(`${bad[index]} bad`);
  const value = mean[index] === null ? 'no value' : withUnit(mean[index], unit);
  return notes.length > 0 ? `${value} (${notes.join(', ')})` : value;
}

/** Put the cursor to a stop, and tell of it; without one, of the last measurement. */
function setCursor(index) {
  if (!shown) return;
  cursor = index;
  plotted.cursor.replaceChildren();
  if (cursor < 0) {
    tell(stops.findLastIndex((stop) => stop.value !== null), 'latest: ');
    return;
  }
  const { time, value } = stops[cursor];
  const [x, y] = [plotted.x(time), plotted.y(value)];
  plotted.cursor.append(svg('path', { d: `M${x} ${plotted.top}V${plotted.bottom}` }));
  if (value !== null) plotted.cursor.append(svg('circle', { cx: x, cy: y, r: 4 }));
  tell(cursor, '');
}

function tell(index, prefix) {
  const text = index < 0 ? 'no measurements in this time' : prefix + stops[index].text;
  setText(byId('readout'), text);
  plot.setAttribute('aria-valuenow', Math.max(0, index));
  plot.setAttribute('aria-valuetext', text);
}

/** The index of the stop nearest to a time; -1 if there is none. */
function nearest(timeMs) {
  const after = stops.findIndex((stop) => stop.time >= timeMs);
  if (after <= 0) return after < 0 ? stops.length - 1 : 0;
  return stops[after].time - timeMs < timeMs - stops[after - 1].time ? after : after - 1;
}

function point(event) {
  if (!shown) return;
  const timeMs = plotted.time(event.clientX - plot.getBoundingClientRect().left);
  const inHole = stops.findIndex(({ hole }) => hole?.start_ms <= timeMs && timeMs < hole?.end_ms);
  setCursor(inHole < 0 ? nearest(timeMs) : inHole);
}

/** Move the cursor by so many stops, from where it is or from the end. */
function step(by) {
  const from = cursor < 0 ? stops.length : cursor;
  setCursor(Math.min(Math.max(from + by, 0), stops.length - 1));
}

function takeKey(event, pan, zoom) {
  const move = event.shiftKey ? pan : step;
  const actions = {
    ArrowLeft: () => move(-1),
    ArrowRight: () => move(1),
    Home: () => step(-Infinity),
    End: () => step(Infinity),
    '+': () => zoom(0.5, stops[cursor]?.time),
    '-': () => zoom(2, stops[cursor]?.time),
  };
  if (!actions[event.key] || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  actions[event.key]();
}
