// All devices and their channels, as cards.

import { get } from './api.js';
import { DeviceCard } from './card.js';
import { ChannelRow } from './channel.js';
import { byId, setChildren, setText, soon } from './dom.js';
import { SECOND, setAgentTime } from './format.js';
import { loadAgain } from './sparkline.js';

const cards = new Map(); // by the device's name
const rows = new Map(); // by sensor
let told = { time_ms: 0, devices: [] };
let channels = [];
let choose;

/** Begin; `onChoose(info)` gets the channel whose button is pressed. */
export function startDevices(onChoose) {
  choose = onChoose;
  setInterval(() => soon(everything), SECOND);
}

/** Ages and sparklines move on, whether or not anything comes. */
const everything = {
  render() {
    for (const one of [...cards.values(), ...rows.values()]) one.render();
  },
};

/** Load the devices; return how many of their readings are lost. */
export async function loadDevices() {
  told = await get('/api/v1/devices');
  setAgentTime(told.time_ms);
  arrange();
  return told.devices.reduce((sum, device) => sum + device.lost_total, 0);
}

export async function loadChannels() {
  ({ channels } = await get('/api/v1/channels', { limit: 10_000 }));
  arrange();
}

export function reloadSparklines() {
  for (const row of rows.values()) loadAgain(row);
}

/** Take readings of the stream; return the sensors that are not known. */
export function takeReadings({ time_ms: timeMs, readings }) {
  for (const [sensor, ...reading] of readings) {
    const row = rows.get(sensor);
    row?.take(...reading);
    cards.get(row?.info.device)?.sawReadings(timeMs);
  }
  return readings.map(([sensor]) => sensor).filter((sensor) => !rows.has(sensor));
}

/** Say of which sensor the chart is open; null: of none. */
export function markOpen(sensor) {
  for (const [name, { button }] of rows) button.setAttribute('aria-expanded', name === sensor);
}

export function focusSensor(sensor) {
  rows.get(sensor)?.button.focus();
}

/** Bring cards and rows in line with what was last told of devices and channels. */
function arrange() {
  const byDevice = new Map(told.devices.map((device) => [device.name, []]));
  for (const info of channels) {
    if (!byDevice.has(info.device)) byDevice.set(info.device, []);
    byDevice.get(info.device).push(rowOf(info));
  }
  const sensors = new Set(channels.map((info) => info.sensor));
  for (const sensor of rows.keys()) if (!sensors.has(sensor)) rows.delete(sensor);
  for (const name of cards.keys()) if (!byDevice.has(name)) cards.delete(name);
  for (const [name, itsRows] of byDevice) {
    if (!cards.has(name)) cards.set(name, new DeviceCard(name));
    const device = told.devices.find((one) => one.name === name) ?? null;
    cards.get(name).update(device, told.time_ms, itsRows);
  }
  setChildren(byId('devices'), [...byDevice.keys()].map((name) => cards.get(name).element));
  const isEmpty = byDevice.size === 0;
  setText(byId('devices-note'), isEmpty ? 'There are none.' : 'Choose a sensor for its chart.');
}

function rowOf(info) {
  if (!rows.has(info.sensor)) rows.set(info.sensor, new ChannelRow(choose));
  const row = rows.get(info.sensor);
  row.update(info);
  return row;
}
