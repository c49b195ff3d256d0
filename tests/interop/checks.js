// What both drivers share: the settings from the environment, the phone's side, and one JSON line per check.
'use strict';

const { control, port, spki } = JSON.parse(process.env.STANDIN);

const LIMIT_MS = 30_000;
const ALICE = '5511888880001@c.us';
const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

const browserArgs = [
  '--disable-gpu',
  '--disable-dev-shm-usage',
  `--ignore-certificate-errors-spki-list=${spki}`,
  `--host-resolver-rules=MAP web.whatsapp.com 127.0.0.1:${port}`,
  ...(process.getuid() === 0 ? ['--no-sandbox'] : []),
];

const report = (check, ok, detail) => console.log(JSON.stringify({ check, ok: !!ok, detail: detail ?? null }));

// Runs one step; it holds when it returns something true within the limit.
async function check(name, step) {
  let timer;
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing within ${LIMIT_MS} ms`)), LIMIT_MS);
  });
  try {
    const value = await Promise.race([step(), limit]);
    report(name, value, value ? null : `got ${JSON.stringify(value)}`);
    return value;
  } catch (error) {
    report(name, false, String((error && error.stack) || error).slice(0, 600));
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

async function phone(action, body) {
  const response = await fetch(`${control}/${action}`, body && { method: 'POST', body: JSON.stringify(body) });
  return response.json();
}

// The server's own row for a number: the newest device linked to it.
async function device(number) {
  const { devices } = await phone('state');
  return devices.filter((row) => row.jid === `${number}@c.us`).at(-1);
}

// Whether a call fails and leaves no message behind.
async function refused(call) {
  const before = (await phone('messages')).length;
  let error = null;
  try {
    await call();
  } catch (thrown) {
    error = thrown;
  }
  return error !== null && (await phone('messages')).length === before;
}

// Remembers everything an emitter reports, so that a check can wait for what has perhaps happened already.
class Heard {
  constructor() {
    this.entries = [];
    this.waiting = [];
  }
  add(name, ...values) {
    this.entries.push({ name, values });
    this.waiting.splice(0).forEach((wake) => wake());
  }
  async first(name, accept = () => true) {
    for (;;) {
      const found = this.entries.find((entry) => entry.name === name && accept(...entry.values));
      if (found) return found.values;
      await new Promise((wake) => this.waiting.push(wake));
    }
  }
}

async function until(look) {
  for (;;) {
    const value = await look();
    if (value) return value;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

module.exports = { ALICE, PIXEL, Heard, browserArgs, check, device, phone, refused, report, until };
