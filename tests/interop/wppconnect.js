// Drives unmodified wppconnect against the stand-in. It reads the QR code off the screen, and brings its own wa-js.
'use strict';

const wppconnect = require('@wppconnect-team/wppconnect');
const { ALICE, PIXEL, Heard, browserArgs, check, device, phone, refused, until } = require('./checks.js');

const PHONE = '5511900000003';

function create(heard) {
  return wppconnect.create({
    session: 'interop',
    folderNameToken: process.env.PROFILES,
    headless: true,
    logQR: false,
    updatesLog: false,
    disableWelcome: true,
    autoClose: 0,
    browserArgs,
    puppeteerOptions: {
      executablePath: process.env.CHROMIUM_PATH,
      userDataDir: `${process.env.PROFILES}/interop`,
      args: browserArgs,
    },
    catchQR: (_image, _ascii, _attempt, qr) => heard.add('qr', qr),
    statusFind: (status) => heard.add('status', status),
  });
}

async function firstLife() {
  const heard = new Heard();
  const creating = create(heard);
  await check('qr', async () => {
    const [qr] = await heard.first('qr');
    // It shows the code before it waits for the scan, and a phone faster than that is never noticed: its own race.
    await heard.first('status', (status) => status === 'notLogged');
    return (await phone('scan', { qr, phone: PHONE })).ok;
  });
  const client = await check('created', () => creating);
  await check('main loaded', () => client.page.waitForFunction(() => WPP.conn.isMainLoaded()));
  await check('wid', async () => String(await client.getWid()).includes(PHONE));
  client.onMessage((message) => heard.add('message', message));
  client.onAck((ack) => heard.add('ack', ack));
  await check('message', async () => {
    await phone('inbound', { phone: PHONE, from: ALICE, body: 'live' });
    return heard.first('message', (message) => message.body === 'live');
  });
  const sent = await check('send text', () => client.sendText(ALICE, 'hello'));
  await check('acks', () =>
    heard.first('ack', (ack) => ack.ack === 3 && String(sent.id).includes(ack.id.id ?? ack.id)),
  );
  await check('send image', async () => {
    await client.sendFile(ALICE, `data:image/png;base64,${PIXEL}`, { type: 'image', filename: 'p.png' });
    const last = (await phone('messages')).at(-1);
    return last.type === 'image' && last.media_len > 0;
  });
  await check('poll refused', () => refused(() => client.sendPollMessage(ALICE, 'question', ['a', 'b'])));
  await check('archive refused', () => refused(() => client.archiveChat(ALICE)));
  await client.close();
}

async function secondLife() {
  const heard = new Heard();
  const client = await check('created from the profile', () => create(heard));
  await check('in the chat list', () =>
    heard.first('status', (status) => status === 'inChat' || status === 'isLogged'),
  );
  await check('no second qr', () => !heard.entries.some((entry) => entry.name === 'qr'));
  await check('logged in by signature, not stale', () =>
    until(async () => {
      const row = await device(PHONE);
      return row.logins === 2 && row.stale_logins === 0 && row.failed_logins === 0;
    }),
  );
  await check('logout', async () => {
    await client.page.waitForFunction(() => WPP.conn.isMainLoaded());
    await client.logout();
    return until(async () => (await device(PHONE)).revoked === 'logout');
  });
  await client.close();
}

(async () => {
  await firstLife();
  await secondLife();
  process.exit(0);
})();
