// The page: what is asked for when, and who shows it.

import { chartPoll, closeChart, markEvent, openChart, openSensor, startChart } from './chart.js';
import {
  focusSensor, loadChannels, loadDevices, markOpen, reloadSparklines, startDevices, takeReadings,
} from './devices.js';
import { byId, setText } from './dom.js';
import { MINUTE, SECOND, clockTime, setAgentTime } from './format.js';
import { loadLedger } from './ledger.js';
import { Poll } from './poll.js';
import { showSinks } from './sinks.js';
import { showHealth, showLive } from './status.js';
import { readStream } from './stream.js';
import { loadTimeline, takeEvent } from './timeline.js';

let isLive = false;
let lost = null; // readings
const asked = new Map(); // when for a sensor that is not known

const timeline = new Poll(loadTimeline, 30 * SECOND, 'timeline-note');
const ledger = new Poll(loadLedger, MINUTE, 'ledger-note');
const channels = new Poll(loadChannels, MINUTE, 'devices-note');
const devices = new Poll(async () => {
  const before = lost;
  lost = await loadDevices();
  if (lost !== before) timeline.wake(); // gaps are not in the stream
}, Infinity, 'devices-note'); // the stream's health wakes it
const polls = [devices, channels, timeline, ledger, chartPoll];

function wakeAll() {
  if (isLive) for (const poll of polls) poll.wake();
}

/** Open the chart of a channel; close it if it is open. */
function choose(info) {
  const isOpen = openSensor() === info.sensor;
  markOpen(isOpen ? null : info.sensor);
  if (isOpen) closeChart();
  else openChart(info);
}

startDevices(choose);
startChart((info) => {
  choose(info);
  focusSensor(info.sensor);
});
document.addEventListener('visibilitychange', wakeAll);

readStream({
  hello({ version }) {
    isLive = true;
    showLive('live', 'live');
    setText(byId('version'), `Version ${version}`);
    wakeAll();
    reloadSparklines();
  },
  readings(message) {
    setAgentTime(message.time_ms);
    const isDue = (sensor) => !(Date.now() - asked.get(sensor) < 10 * SECOND);
    const unknown = takeReadings(message).filter(isDue);
    for (const sensor of unknown) asked.set(sensor, Date.now());
    if (unknown.length > 0) channels.wake();
  },
  health(told) {
    showHealth(told);
    showSinks(told);
    devices.wake();
  },
  event(event) {
    takeEvent(event);
    markEvent(event);
  },
  lost(sinceMs) {
    isLive = false;
    for (const poll of polls) poll.sleep();
    showLive('stale', `stale since ${clockTime(sinceMs)}, trying again`);
  },
});
