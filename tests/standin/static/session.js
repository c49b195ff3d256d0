// The websocket to the server: pairing, log-in, logout, and handing frames to whoever they are for.
(function (g) {
  'use strict';
  const core = g.__standin;
  const { N, cfg, storage, screens, messages } = core;
  const { encodeB64, decodeB64 } = N('WABase64');

  const RECONNECT_MS = { first: 300, most: 8000 };
  const ANSWER_TIMEOUT_MS = 15000;

  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const Socket = () => N('WAWebSocketModel').Socket;
  const Conn = () => N('WAWebConnModel').Conn;
  const Stream = () => N('WAWebStreamModel').Stream;
  const Cmd = () => N('WAWebCmd').Cmd;
  const bus = () => N('WAWebBackendEventBus').BackendEventBus;

  let ws = null;
  let attempts = 0; // failed connections in a row
  let stayDown = false; // conflict, logout: do not come back by oneself
  let refTimer = null;
  let pairing = null; // who this page becomes once the server has restarted its stream
  let questions = 0;
  const answers = new Map(); // question id -> resolve

  function setState(state) {
    Socket().state = state;
    bus().trigger('set_socket_state', state);
  }

  const isOpen = () => !!ws && ws.readyState === WebSocket.OPEN;

  function tell(frame) {
    if (!isOpen()) throw new Error('socket not open');
    ws.send(JSON.stringify(frame));
  }

  function ask(frame) {
    const rid = ++questions;
    return new Promise((resolve, reject) => {
      tell({ ...frame, rid });
      answers.set(rid, { resolve, reject });
      setTimeout(() => answers.delete(rid) && reject(new Error('timeout ' + frame.t)), ANSWER_TIMEOUT_MS);
    });
  }

  function answered(frame) {
    const question = answers.get(frame.rid);
    answers.delete(frame.rid);
    if (!question) return;
    if (frame.t === 'error') question.reject(new Error(frame.error));
    else question.resolve(frame);
  }

  function connect() {
    stayDown = false;
    clearTimeout(refTimer);
    if (ws) {
      ws.onclose = null;
      ws.close();
    }
    setState('OPENING');
    Stream().info = 'OPENING';
    const socket = new WebSocket(location.origin.replace(/^http/, 'ws') + '/ws/chat');
    ws = socket;
    socket.onmessage = (event) => {
      const frame = JSON.parse(event.data);
      const take = on[frame.t] || (() => {});
      Promise.resolve(take(frame)).catch((e) => console.error('[standin]', frame.t, e));
    };
    socket.onopen = () => introduce().catch((e) => console.error('[standin] introduce', e));
    socket.onclose = () => {
      clearTimeout(refTimer);
      if (stayDown || ws !== socket) return;
      if (core.state.me) {
        setState('TIMEOUT');
        Stream().info = 'OFFLINE';
      }
      setTimeout(connect, Math.min(RECONNECT_MS.most, RECONNECT_MS.first * 2 ** attempts++));
    };
  }

  async function introduce() {
    const keys = await core.keys();
    const me = core.state.me;
    if (me) return tell({ t: 'login', jid: me.jid, deviceId: me.deviceId, confirms: true });
    core.state.advSecret = keys.adv;
    tell({ t: 'register', noisePub: encodeB64(keys.noisePub), identityPub: encodeB64(keys.identityPub) });
  }

  function refreshQR() {
    if (core.state.me) return;
    clearTimeout(refTimer);
    if (isOpen()) tell({ t: 'refresh' });
    else connect();
  }

  async function linkCode(phone) {
    const answer = await ask({ t: 'link-code', phone: String(phone).replace(/\D/g, '') });
    return answer.code;
  }

  // The page forgets the account and starts over, as the real one does.
  async function localLogout(reason) {
    stayDown = true;
    clearTimeout(refTimer);
    N('WAWebLogoutReason').getErrorCodeFromLogoutReason(reason); // wa-js takes `logout_reason` from this call
    await storage.wipe();
    Cmd().trigger('logout', reason);
    bus().trigger('logout');
    ws.close();
    await sleep(250); // clients get to see the event before the page goes away
    location.replace('/?post_logout=1&logout_reason=' + (reason === 'user_initiated' ? 0 : 1));
  }

  async function logout(reason) {
    bus().trigger('starting_logout');
    if (isOpen()) {
      const told = new Promise((resolve) => (on['logout-ok'] = resolve));
      tell({ t: 'logout' });
      await Promise.race([told, sleep(2000)]);
    }
    return localLogout(reason || 'user_initiated');
  }

  const ed25519 = async (...parts) => {
    const { noise } = await core.keys();
    const content = await new Blob(parts).arrayBuffer();
    return encodeB64(await crypto.subtle.sign('Ed25519', noise.privateKey, content));
  };

  async function approvedByPhone(frame) {
    if (frame.viaCode) return true;
    const usage = { name: 'HMAC', hash: 'SHA-256' };
    const secret = await crypto.subtle.importKey('raw', decodeB64(core.state.advSecret), usage, false, ['verify']);
    return crypto.subtle.verify('HMAC', secret, decodeB64(frame.hmac), decodeB64(frame.adv));
  }

  async function becomeUsable(offline) {
    for (let quarter = 1; quarter <= 4; quarter++) {
      await sleep(cfg.syncMs / 4);
      core.state.offlinePct = quarter * 25;
      Cmd().trigger('offline_progress_update_from_bridge');
    }
    for (const message of offline) await messages.receive(message);
    if (!isOpen()) return;
    if (!Cmd().isMainLoaded) Cmd().mainLoaded();
    Stream().mode = 'MAIN';
    Stream().info = Stream().displayInfo = 'NORMAL';
    Socket().stream = 'CONNECTED';
    bus().trigger('main_stream_mode_ready');
    bus().trigger('offline_delivery_end');
    // whatsapp-web.js is ready on this change, and only if it listens already.
    Socket().hasSynced = true;
  }

  function learnContacts(me, contacts) {
    const { createWid } = N('WAWebWidFactory');
    const Contact = N('WAWebContactModel').default;
    for (const { id, name, pushname } of [{ id: me.jid, name: me.pushname, pushname: me.pushname }, ...contacts])
      N('WAWebContactCollection').ContactCollection.add(new Contact({ id: createWid(id), name, pushname, type: 'in' }));
    const rows = contacts.map((contact) => ({ ...contact, type: 'in' }));
    storage.put('model-storage', 'contact', rows).catch((e) => console.error('[standin] contacts', e));
  }

  const on = {
    'pair-device'({ refs }) {
      setState('UNPAIRED');
      Stream().mode = 'QR';
      Stream().info = Stream().displayInfo = 'PAIRING';
      attempts = 0;
      const waiting = [...refs];
      const next = () => {
        if (core.state.me) return;
        Conn().ref = waiting.shift();
        screens.showQr(Conn().ref);
        if (Conn().ref) refTimer = setTimeout(next, cfg.refTtl);
        else setState('UNPAIRED_IDLE');
      };
      clearTimeout(refTimer);
      next();
    },
    'link-code': answered,
    exists: answered,
    error: answered,
    async 'pair-success'(frame) {
      if (!(await approvedByPhone(frame))) return console.error('[standin] adv hmac mismatch');
      clearTimeout(refTimer);
      setState('PAIRING');
      const { jid, lid, deviceId, pushname, platform } = frame;
      pairing = { id: 'me', jid, lid, deviceId, pushname, platform };
      await storage.rememberPairing(pairing, frame.adv);
      Conn().ref = undefined;
      tell({ t: 'pair-device-sign', sig: await ed25519('pair', decodeB64(frame.adv)) });
    },
    async 'stream-error'(frame) {
      stayDown = true;
      if (frame.code === '515') {
        core.state.me = pairing;
        setTimeout(connect, 50);
      } else if (frame.code === '401') {
        await localLogout(frame.reason);
      } else if (frame.code === 'conflict') {
        setState('CONFLICT');
        Stream().mode = 'CONFLICT';
      }
    },
    async failure(frame) {
      stayDown = true;
      if (['401', '403'].includes(frame.reason)) await localLogout('unknown_companion');
    },
    async challenge(frame) {
      // The counter is on disk before it is used: a crash in between must not make the next log-in look stale.
      const rc = await storage.nextLoginCounter();
      tell({
        t: 'challenge-response',
        rc,
        sig: await ed25519('login', decodeB64(frame.nonce), core.state.me.jid + rc),
      });
    },
    async success(frame) {
      attempts = 0;
      const me = Object.assign(core.state.me, { pushname: frame.pushname, lid: frame.lid });
      Conn().set({
        wid: N('WAWebWidFactory').createWid(frame.jid),
        connected: true,
        platform: frame.platform,
        pushname: frame.pushname,
      });
      learnContacts(me, frame.contacts);
      setState('CONNECTED');
      Stream().info = 'SYNCING';
      if (Stream().mode !== 'MAIN') Stream().mode = 'SYNCING';
      Socket().canSend = true;
      screens.showMain();
      messages.resend();
      await becomeUsable(frame.offline);
    },
    message: (frame) => messages.receive(frame.msg),
    ack: messages.ack,
    nack: messages.nack,
    receipt: messages.receipt,
  };

  core.session = { connect, isOpen, tell, ask, refreshQR, linkCode, logout };
})(self);
