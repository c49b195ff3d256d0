// The bridge between wa-js and the driver. It runs in the main frame of the WhatsApp page, in every document of it,
// after wa-js and before the page's own scripts. Out: calls of one binding with JSON text. In: `window.__blazz`.
// Everything that leaves is plain data; live models of the page stay here.
(options) => {
  'use strict';
  const post = window[options.binding];
  delete window[options.binding];
  const SEEN_LIMIT = 5000;
  const MEDIA = new Set(['image', 'video', 'audio', 'ptt', 'document', 'sticker', 'ptv']);
  // Not words of a person. A `ciphertext` is announced again by wa-js once it could be decrypted.
  const SYSTEM = new Set(['ciphertext', 'protocol', 'e2e_notification', 'notification', 'notification_template', 'gp2', 'broadcast_notification', 'newsletter_notification', 'debug', 'call_log']);
  const seen = new Set();
  const uploads = new Map();
  let modulesMissed = false, missingModules = 0, pairingCode = null, loggedOut = false, logoutReason = null;

  const emit = (kind, data) => { try { post(JSON.stringify({ kind, data })); } catch (e) { /* the driver is gone */ } };
  const hint = (source) => emit('state_hint', { source });
  const guard = (where, action) => (...args) => {
    try { return action(...args); } catch (e) { emit('page_error', { where, error: String(e && e.message).slice(0, 300) }); }
  };
  const attempt = (read) => { try { return read(); } catch (e) { return undefined; } };
  const text = (value) => (value == null ? null : typeof value === 'object' ? value._serialized || String(value) : String(value));
  const within = (promise, limitMs, code) => {
    let timer;
    const limit = new Promise((_, reject) => { timer = setTimeout(() => reject(Object.assign(new Error(code), { code })), limitMs); });
    return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
  };
  const firstTime = (mark) => {
    if (seen.has(mark)) return false;
    seen.add(mark);
    if (seen.size > SEEN_LIMIT) seen.delete(seen.values().next().value);
    return true;
  };

  /* ---- WhatsApp's modules ---- */
  const found = () => !!(attempt(() => WPP.whatsapp.Socket) && attempt(() => WPP.whatsapp.MsgStore));
  // wa-js takes the first pause of 750 ms for the end of WhatsApp's modules, and what it has not found by then it never
  // listens to. So modules are hidden from it until those are there without which it knows no session, or for holdMs
  // should WhatsApp have renamed them.
  function holdModules() {
    const debug = WPP.loader && WPP.loader.__debug;
    if (typeof debug !== 'function') return;
    const endsAt = performance.now() + options.holdMs;
    WPP.loader.__debug = () => {
      const map = debug().modulesMap;
      const complete = document.readyState !== 'loading' && 'WAWebSocketModel' in map && 'WAWebMsgCollection' in map;
      if (!complete && performance.now() < endsAt) return { modulesMap: {} };
      WPP.loader.__debug = debug;
      return debug();
    };
  }

  /* ---- facts about the state ---- */
  const consoleError = console.error;
  console.error = function (...args) {
    if (typeof args[0] === 'string' && /^(Module|Property) .{1,200} was not found/.test(args[0])) missingModules++;
    return consoleError.apply(this, args);
  };

  async function authCode() {
    const code = await within(WPP.conn.getAuthCode(), 2000, 'no_auth_code').catch(() => null);
    return code ? code.fullCode : null;
  }

  async function snapshot() {
    const address = new URLSearchParams(location.search);
    const facts = {
      injected: !!(window.WPP && WPP.isInjected),
      post_logout: loggedOut || address.get('post_logout') === '1',
      logout_reason: text(logoutReason) || address.get('logout_reason'),
      missing_modules: missingModules,
      modules_missed: modulesMissed,
      wa_version: text(attempt(() => window.Debug.VERSION)),
    };
    // Asked any earlier, wa-js complains about every module that the page has not loaded yet.
    if (!facts.injected) return facts;
    facts.authenticated = attempt(() => WPP.conn.isAuthenticated()) === true;
    facts.main_loaded = attempt(() => WPP.conn.isMainLoaded()) === true;
    facts.mode = text(attempt(() => WPP.conn.getStreamData().mode));
    facts.socket = text(attempt(() => WPP.whatsapp.Socket.state));
    if (facts.authenticated) {
      pairingCode = null;
      facts.me = text(attempt(() => WPP.conn.getMyUserId()));
      facts.pushname = text(attempt(() => WPP.whatsapp.Conn.pushname || WPP.profile.getMyProfileName()));
    } else {
      facts.qr = await authCode();
      facts.pairing_code = pairingCode;
    }
    return facts;
  }

  /* ---- events ---- */
  const messageData = (message) => {
    const hasMedia = MEDIA.has(message.type);
    // The body of a media message is its thumbnail.
    const body = hasMedia ? message.caption : message.body;
    return {
      id: text(message.id), from: text(message.from), to: text(message.to), author: text(message.author),
      body: typeof body === 'string' ? body : '', type: text(message.type), timestamp: Number(message.t) || 0,
      from_me: !!(message.id && message.id.fromMe), notify_name: text(message.notifyName), has_media: hasMedia,
      mimetype: text(message.mimetype), filename: text(message.filename),
    };
  };
  const onMessage = guard('message', (message) => {
    if (!message || !message.id || SYSTEM.has(message.type) || text(message.from) === 'status@broadcast') return;
    if (firstTime('m:' + text(message.id))) emit('message', messageData(message));
  });
  // What WhatsApp delivered before wa-js was ready was never announced to anybody.
  const sweepMessages = guard('sweep', () => {
    for (const message of WPP.whatsapp.MsgStore.getModelsArray()) {
      if (message.isNewMsg && message.id && !message.id.fromMe) onMessage(message);
    }
  });
  const onAck = guard('ack', (id, ack, chat) => {
    const messageId = text(id);
    if (!id || id.fromMe === false || !(ack >= 1) || !firstTime('a:' + ack + messageId)) return;
    emit('ack', { message_id: messageId, ack, chat: text(chat) });
  });
  const onLogout = guard('logout', (reason) => {
    loggedOut = true;
    if (typeof reason === 'string' || typeof reason === 'number') logoutReason = reason;
    emit('logged_out', { reason: text(logoutReason) });
    hint('conn.logout');
  });

  const HINTS = ['conn.auth_code_change', 'conn.require_auth', 'conn.qrcode_idle', 'conn.authenticated', 'conn.main_loaded', 'conn.main_ready', 'conn.stream_mode_changed', 'conn.stream_info_changed', 'conn.link_code_expired'];
  function listen() {
    for (const name of HINTS) WPP.on(name, () => hint(name));
    WPP.on('conn.main_ready', sweepMessages);
    WPP.on('conn.link_code_change', (code) => { pairingCode = text(code); hint('conn.link_code_change'); });
    WPP.on('conn.link_code_expired', () => { pairingCode = null; });
    WPP.on('conn.link_code_error', () => { pairingCode = null; hint('conn.link_code_error'); });
    WPP.on('conn.logout_reason', (reason) => { logoutReason = reason; });
    WPP.on('conn.logout', onLogout);
    WPP.on('chat.new_message', onMessage);
    WPP.on('chat.msg_ack_change', (change) => { for (const id of change.ids || []) onAck(id, change.ack, change.chat); });
    const onInjected = guard('injected', () => {
      modulesMissed = !found();
      if (modulesMissed) return hint('loader.injected');
      WPP.whatsapp.Socket.on('change:state', () => hint('socket'));
      WPP.whatsapp.MsgStore.on('change:ack', (message) => onAck(message.id, message.ack, message.to));
      sweepMessages();
      hint('loader.injected');
    });
    if (WPP.isInjected) onInjected(); else WPP.on('loader.injected', onInjected);
  }

  /* ---- actions ---- */
  const refuse = (code) => { throw Object.assign(new Error(code), { code }); };
  const findMessage = (key) => attempt(() => WPP.whatsapp.MsgStore.get(key));

  async function findChat(to) {
    if (!(window.WPP && WPP.isInjected) || !WPP.conn.isAuthenticated()) refuse('not_logged_in');
    let wid = to.includes('@') ? to : to + '@c.us';
    if (wid.endsWith('@c.us') && !attempt(() => WPP.chat.get(wid))) {
      const known = await WPP.contact.queryExists(wid);
      if (!known) refuse('not_on_whatsapp');
      wid = text(known.wid) || wid;
    }
    return WPP.chat.find(wid);
  }

  async function messageKey(chat, messageId) {
    if (messageId && messageId.includes('_')) return WPP.whatsapp.MsgKey.fromString(messageId);
    const key = await WPP.chat.generateMessageID(chat.id);
    if (!messageId) return key;
    return new WPP.whatsapp.MsgKey({ fromMe: true, remote: key.remote, id: messageId, participant: key.participant });
  }

  const failure = (error, outcome, key) => ({
    ok: false, outcome, message_id: key ? text(key) : null,
    code: text(error && (error.code || error.name)) || 'error',
    // The text of wa-js's own errors names ids only; others may repeat what was to be sent.
    error: error && error.code ? String(error.message).slice(0, 200) : '',
  });

  // "not_sent" is promised only while the message has not been handed to WhatsApp: from then on it lies in the store.
  async function deliver(to, messageId, limitMs, handOver) {
    let key = null;
    try {
      const endsAt = performance.now() + limitMs;
      const chat = await within(findChat(to), limitMs, 'timeout');
      key = await within(messageKey(chat, messageId), Math.max(1, endsAt - performance.now()), 'timeout');
      const before = findMessage(key);
      if (before) return sent(before, key);
      const result = await within(handOver(chat.id.toString(), text(key)), Math.max(1000, endsAt - performance.now()), 'ack_timeout');
      const verdict = result && result.sendMsgResult && (result.sendMsgResult.messageSendResult || result.sendMsgResult);
      if (verdict && verdict !== 'OK') refuse(text(verdict));
      return sent(findMessage(key) || { ack: result && result.ack }, key);
    } catch (error) {
      const handed = key && (findMessage(key) || (error && error.code === 'ack_timeout'));
      return failure(error, handed ? 'unknown' : 'not_sent', key);
    }
  }
  const sent = (message, key) => ({ ok: true, message_id: text(key), ack: Number(message.ack) || 0, timestamp: Number(message.t) || Math.floor(Date.now() / 1000) });
  const SEND = { linkPreview: false, markIsRead: false, waitForAck: true };

  const actions = {
    snapshot,
    sendText: (to, body, messageId, limitMs) =>
      deliver(to, messageId, limitMs, (chat, key) => WPP.chat.sendTextMessage(chat, body, { ...SEND, messageId: key })),
    addPart: (upload, part) => {
      const bytes = Uint8Array.from(atob(part), (letter) => letter.charCodeAt(0));
      uploads.set(upload, [...(uploads.get(upload) || []), bytes]);
    },
    dropParts: (upload) => { uploads.delete(upload); },
    sendFile: (to, upload, about, messageId, limitMs) => {
      const file = new File(uploads.get(upload) || [], about.filename, { type: about.mimetype });
      uploads.delete(upload);
      const type = /^(image|video|audio)\//.test(about.mimetype) ? 'auto-detect' : 'document';
      return deliver(to, messageId, limitMs, (chat, key) => WPP.chat.sendFileMessage(chat, file, { ...SEND, type, filename: about.filename, mimetype: about.mimetype, caption: about.caption || undefined, messageId: key }));
    },
    newMessageId: () => WPP.whatsapp.MsgKey.newId(),
    pairingCode: async (phone) => {
      pairingCode = text(await WPP.conn.startLinkDeviceCodeForPhoneNumber(phone, true));
      hint('pairing_code');
      return pairingCode;
    },
    refreshQr: () => { pairingCode = null; attempt(() => WPP.conn.cancelLinkDeviceCode()); WPP.conn.refreshQR().catch(() => {}); },
    // The page reloads afterwards, so its promise is of no use to anybody.
    logout: () => { WPP.conn.logout().catch(() => {}); },
  };
  const call = async (name, args) => {
    if (name !== 'snapshot' && !(window.WPP && WPP.isInjected)) return { ok: false, outcome: 'not_sent', code: 'page_not_ready', error: '' };
    try { return { ok: true, value: await actions[name](...args) }; } catch (error) { return failure(error, 'not_sent', null); }
  };
  Object.defineProperty(window, '__blazz', { value: Object.freeze({ call }), enumerable: false });

  holdModules();
  listen();
  if (new URLSearchParams(location.search).get('post_logout') === '1') onLogout(new URLSearchParams(location.search).get('logout_reason'));
}
