// Drives unmodified whatsapp-web.js against the stand-in: LocalAuth through a whole life, then a pairing code.
'use strict';

const { Client, LocalAuth, MessageMedia, Poll } = require('whatsapp-web.js');
const { ALICE, PIXEL, Heard, browserArgs, check, device, phone, refused } = require('./checks.js');

const PHONE = '5511900000001';
const OTHER_PHONE = '5511900000002';
const EVENTS = ['qr', 'code', 'loading_screen', 'authenticated', 'ready', 'message', 'message_ack', 'disconnected'];

function start(options) {
  const puppeteer = { executablePath: process.env.CHROMIUM_PATH, args: browserArgs };
  const client = new Client({ puppeteer, ...options });
  const heard = new Heard();
  for (const name of EVENTS) client.on(name, (...values) => heard.add(name, ...values));
  client.initialize().catch((error) => heard.add('failed', error));
  return { client, heard };
}
const localAuth = () => ({ authStrategy: new LocalAuth({ dataPath: process.env.PROFILES, clientId: 'one' }) });

async function firstLife() {
  const { client, heard } = start(localAuth());
  await check('qr', async () => {
    const [qr] = await heard.first('qr');
    return (await phone('scan', { qr, phone: PHONE, pushname: 'Interop' })).ok;
  });
  await check('loading_screen', () => heard.first('loading_screen'));
  await check('authenticated', () => heard.first('authenticated'));
  await check('ready', () => heard.first('ready'));
  await check('info', () => client.info.wid.user === PHONE && client.info.pushname === 'Interop');
  await check('state', async () => (await client.getState()) === 'CONNECTED');
  await messages(client, heard);
  await client.destroy();
}

async function messages(client, heard) {
  const received = await check('message', async () => {
    await phone('inbound', { phone: PHONE, from: ALICE, body: 'live' });
    return (await heard.first('message', (m) => m.body === 'live'))[0];
  });
  const sent = await check('send text', () => client.sendMessage(ALICE, 'hello', { waitUntilMsgSent: true }));
  await check('acks 1 to 3', async () => {
    for (const level of [1, 2, 3]) await heard.first('message_ack', (m, ack) => m.id.id === sent.id.id && ack >= level);
    return true;
  });
  await check('send image', async () => {
    await client.sendMessage(ALICE, new MessageMedia('image/png', PIXEL, 'p.png'), { waitUntilMsgSent: true });
    const last = (await phone('messages')).at(-1);
    return last.type === 'image' && last.media_len > 0;
  });
  await check('reply', async () => {
    await received.reply('answer');
    const last = (await phone('messages')).at(-1);
    return last.body === 'answer' && last.quoted === received.id.id;
  });
  await check('chat and contact', async () => {
    const chat = await received.getChat();
    const contact = await received.getContact();
    return chat.id._serialized === ALICE && contact.name === 'Alice' && (await client.getChats()).length > 0;
  });
  await check('poll refused', () => refused(() => client.sendMessage(ALICE, new Poll('question', ['a', 'b']))));
  const clip = new MessageMedia('video/mp4', 'AAAA', 'v.mp4');
  await check('video sent', async () => (await client.sendMessage(ALICE, clip)).type === 'video');
  await check('archive refused', () => refused(() => client.archiveChat(ALICE).then((ok) => ok || Promise.reject())));
}

async function secondLife() {
  const { client, heard } = start(localAuth());
  await check('ready from the profile', () => heard.first('ready'));
  await check('no second qr', () => !heard.entries.some((entry) => entry.name === 'qr'));
  await check('logged in by signature, not stale', async () => {
    const row = await device(PHONE);
    return row.logins === 2 && row.stale_logins === 0 && row.failed_logins === 0;
  });
  await check('revoked', async () => {
    await phone('revoke', { phone: PHONE });
    return (await heard.first('disconnected'))[0] === 'LOGOUT';
  });
  await check('new qr', () => heard.first('qr'));
  await client.destroy();
}

async function byPairingCode() {
  const { client, heard } = start({ pairWithPhoneNumber: { phoneNumber: OTHER_PHONE } });
  await check('code', async () => {
    const [code] = await heard.first('code');
    return (await phone('link', { code, phone: OTHER_PHONE })).ok;
  });
  await check('ready by code', () => heard.first('ready'));
  await check('logout', async () => {
    await client.logout();
    return (await device(OTHER_PHONE)).revoked === 'logout';
  });
  await client.destroy().catch(() => {}); // logout has closed it already
}

// After a logout whatsapp-web.js injects itself anew without awaiting it; closing its browser meanwhile rejects there.
process.on('unhandledRejection', (error) => {
  if (!error || error.name !== 'TargetCloseError') throw error;
});

(async () => {
  await firstLife();
  await secondLife();
  await byPairingCode();
  process.exit(0);
})();
