// What a chart shows, in words and figures, for those who don't see it.

import { byId, el, patch } from './dom.js';
import { dateTime, holeText, withUnit } from './format.js';

export function setChartData({ chart, marks, start, end }) {
  const total = (list) => list.reduce((sum, one) => sum + one, 0);
  const mean = chart.mean.filter((value) => value !== null);
  const all = [...chart.min, ...chart.max].filter((value) => value !== null);
  const values = mean.length === 0 ? {} : {
    first: mean[0],
    last: mean.at(-1),
    min: Math.min(...all),
    max: Math.max(...all),
  };
  const facts = {
    points: chart.times_ms.length,
    count: total(chart.count),
    bad: total(chart.bad),
    holes: chart.holes.length,
    marks: marks.length,
  };
  const { sensor, source, unit } = chart;
  const { dataset } = byId('plot');
  for (const name of Object.keys(dataset)) delete dataset[name];
  Object.assign(dataset, { sensor, source, start, end, ...facts, ...values });
  const rows = [
    ['from', dateTime(start)],
    ['to', dateTime(end)],
    ...Object.entries(facts),
    ...Object.entries(values).map(([name, value]) => [name, withUnit(value, unit)]),
    ...chart.holes.map((hole) => [dateTime(hole.start_ms), holeText(hole)]),
    ...marks.map((mark) => [dateTime(mark.timeMs), `${mark.word}: ${mark.text}`]),
  ];
  patch(byId('chart-data').tBodies[0], rows.map(([name, text]) => (
    el('tr', {}, el('th', { scope: 'row' }, name), el('td', {}, text))
  )));
}
