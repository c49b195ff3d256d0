// The bridge between wa-js and the driver. It runs in the main frame of the WhatsApp page, in every document of it,
// after wa-js and before the page's own scripts. Out: calls of one binding with JSON text. In: `window.__blazz`.
// Everything that leaves is plain data; live models of the page stay here.
(options) => {
  'use strict';
  const post = window[options.binding];
  delete window[options.binding];
  const SEEN_LIMIT = 5000;
  const MEDIA = new Set(['image', 'video', 'audio', 'ptt', 'document', 'sticker', 'ptv']);
  const PLACES = new Set(['location', 'live_location']);
  const CARDS = new Set(['vcard', 'multi_vcard']);
  // Not words of a person. A `ciphertext` is announced again by wa-js once it could be decrypted.
  const SYSTEM = new Set(['ciphertext', 'protocol', 'e2e_notification', 'notification', 'notification_template', 'gp2', 'broadcast_notification', 'newsletter_notification', 'debug', 'call_log']);
  const seen = new Set();
  const uploads = new Map();
  const downloads = new Map();
  let heard = null, modulesMissed = false, missingModules = 0, pairingCode = null, loggedOut = false, logoutReason = null;

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
    hearMessages(debug);
    const endsAt = performance.now() + options.holdMs;
    WPP.loader.__debug = () => {
      const map = debug().modulesMap;
      const complete = document.readyState !== 'loading' && 'WAWebSocketModel' in map && 'WAWebMsgCollection' in map;
      if (!complete && performance.now() < endsAt) return { modulesMap: {} };
      WPP.loader.__debug = debug;
      return debug();
    };
  }

  // wa-js listens a second or more after the page has begun to take and to confirm what waited at WhatsApp. So the page's
  // own collection is heard as soon as it is there. It is never made here before the page has made its socket's model:
  // by then all modules are there that it needs itself, and no factory can fail for want of another.
  const HEAR_EVERY_MS = 10;
  const exported = (map, id, name) => attempt(() => map[id].exports[name]);
  function messageStore(map) {
    const made = exported(map, 'WAWebMsgCollection', 'MsgCollection');
    if (made || !exported(map, 'WAWebSocketModel', 'Socket') || !('WAWebMsgCollection' in map)) return made;
    return attempt(() => window.importNamespace('WAWebMsgCollection').MsgCollection);
  }
  function hearMessages(debug) {
    if (heard) return;
    const store = messageStore(attempt(() => debug().modulesMap) || {});
    if (!store || typeof store.on !== 'function') { setTimeout(hearMessages, HEAR_EVERY_MS, debug); return; }
    hear(store);
  }
  // Messages that are changed later may not be loaded: of those no model tells, only the message that changes them.
  const CHANGES = { revoke: onRevoked, sender_revoke: onRevoked, admin_revoke: onRevoked, message_edit: onEdited };
  function hear(store) {
    if (heard === store) return;
    heard = store;
    // Once wa-js listens it comes first, as it finds out what a message quotes.
    store.on('add', (message) => { if (WPP.isInjected) setTimeout(onNewMessage, 0, message); else queueMicrotask(() => onNewMessage(message)); });
    store.on('change:latestEditMsgKey', (message) => onEdit(message));
    store.on('change:ack', (message) => onAck(message.id, message.ack, message.to));
    const process = store.processMultipleMessages;
    if (typeof process === 'function') {
      store.processMultipleMessages = (chat, messages, ...rest) => {
        for (const message of attempt(() => [...messages]) || []) {
          const onChange = message && message.isNewMsg && message.type === 'protocol' && CHANGES[message.subtype];
          if (onChange) onChange(store, message);
        }
        const done = process.call(store, chat, messages, ...rest);
        return Promise.resolve(done).then((result) => receipt().then(() => result));
      };
    }
    sweepMessages(store);
  }
  // The shard may be behind, and what it has not read dies with it: a page that waits for this before it confirms a
  // message, as the stand-in's does, loses none. It never waits for long.
  const RECEIPT_MS = 1000;
  const receipts = new Map();
  let receiptsAsked = 0;
  const receipt = () => new Promise((resolve) => {
    // After the messages themselves, which are told by other tasks.
    setTimeout(() => {
      const number = ++receiptsAsked;
      const end = () => { receipts.delete(number); clearTimeout(timer); resolve(); };
      const timer = setTimeout(end, RECEIPT_MS);
      receipts.set(number, end);
      emit('receipt', { number });
    }, 0);
  });
  const heardUpTo = (number) => { for (const [asked, end] of [...receipts]) if (asked <= number) end(); };

  function onRevoked(store, message) {
    onRevoke({ id: message.id, refId: message.protocolMessageKey, from: message.from, author: message.author });
  }
  function onEdited(store, message) {
    const id = message.protocolMessageKey;
    if (id && !attempt(() => store.get(id))) onEdit({ id, from: message.from, author: message.author, type: message.editMsgType, body: message.body, caption: message.caption, latestEditSenderTimestampMs: message.latestEditSenderTimestampMs || message.t, latestEditMsgKey: message.id });
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
  const CARDS_LIMIT = 20, CARD_CHARS = 20000;
  const words = (message) => {
    if (MEDIA.has(message.type)) return message.caption; // the body is its thumbnail
    return PLACES.has(message.type) || CARDS.has(message.type) ? '' : message.body; // there, too, or the card itself
  };
  const cardsOf = (message) => {
    const cards = message.type === 'vcard' ? [message.body] : (message.vcardList || []).map((card) => card.vcard);
    return cards.filter((card) => typeof card === 'string').slice(0, CARDS_LIMIT).map((card) => card.slice(0, CARD_CHARS));
  };
  const chatOf = (message) => text(message.id && message.id.remote) || text(message.from);
  const messageData = (message) => {
    const hasMedia = MEDIA.has(message.type), body = words(message);
    const size = hasMedia ? Number(message.size || attempt(() => message.mediaData.size)) : 0;
    const place = PLACES.has(message.type) ? { latitude: Number(message.lat), longitude: Number(message.lng), text: text(message.loc) } : null;
    return {
      id: text(message.id), chat: chatOf(message), from: text(message.from), to: text(message.to), author: text(message.author),
      body: typeof body === 'string' ? body : '', type: text(message.type), timestamp: Number(message.t) || 0,
      from_me: !!(message.id && message.id.fromMe), notify_name: text(message.notifyName), has_media: hasMedia,
      mimetype: text(message.mimetype), filename: text(message.filename), size_bytes: size > 0 ? size : null,
      quoted_id: message.quotedStanzaID ? text(attempt(() => message.quotedMsgId)) : null,
      place, cards: CARDS.has(message.type) ? cardsOf(message) : null,
    };
  };
  // Milliseconds in some versions of the page, seconds in others.
  const seconds = (value) => { const found = Number(value) || Date.now(); return Math.floor(found > 1e11 ? found / 1000 : found); };
  const onReaction = guard('reaction', (reaction) => {
    if (!reaction || !reaction.msgId || (reaction.id && reaction.id.fromMe)) return;
    const told = { message_id: text(reaction.msgId), chat: text(reaction.msgId.remote), from: text(reaction.sender), emoji: reaction.reactionText || '', timestamp: seconds(reaction.timestamp) };
    if (firstTime(`r:${told.message_id}:${told.from}:${text(reaction.id)}:${told.timestamp}:${told.emoji}`)) emit('reaction', { ...told, reaction_id: text(reaction.id) });
  });
  // wa-js listens for reactions only once the page shows its chats; those that waited while we were away come before.
  // It replaces this tap with its own.
  const tapReactions = guard('reactions', () => {
    const original = WPP.whatsapp.functions.createOrUpdateReactions, module = WPP.loader.loadModule(WPP.whatsapp._moduleIdMap.get(original));
    const name = Object.keys(module).find((key) => module[key] === original);
    if (!name) return;
    module[name] = function (data, isNew, ...rest) {
      if (isNew && data && !Array.isArray(data)) {
        attempt(() => onReaction({ id: WPP.whatsapp.MsgKey.fromString(text(data.msgKey)), msgId: WPP.whatsapp.MsgKey.fromString(text(data.parentMsgKey)), reactionText: data.reactionText, sender: data.senderUserJid, timestamp: data.t }));
      }
      return original.call(module, data, isNew, ...rest);
    };
  });
  const onEdit = guard('edit', (msg) => {
    if (!msg || !msg.id || msg.id.fromMe) return;
    const told = { message_id: text(msg.id), chat: chatOf(msg), from: text(msg.author || msg.from), body: String(words(msg) || ''), timestamp: seconds(msg.latestEditSenderTimestampMs), edit_id: text(msg.latestEditMsgKey) };
    if (firstTime(`e:${told.message_id}:${told.edit_id}`)) emit('edited', told);
  });
  const onRevoke = guard('revoke', (revoked) => {
    if (!revoked || !revoked.refId || (revoked.id && revoked.id.fromMe)) return;
    const told = { message_id: text(revoked.refId), chat: text(revoked.refId.remote), from: text(revoked.author || revoked.from), timestamp: seconds() };
    if (firstTime(`d:${told.message_id}`)) emit('revoked', told);
  });
  const onMessage = guard('message', (message) => {
    if (!message || !message.id || SYSTEM.has(message.type) || text(message.from) === 'status@broadcast') return;
    if (firstTime('m:' + text(message.id))) emit('message', messageData(message));
  });
  const onNewMessage = (message) => { if (message.isNewMsg && message.id && !message.id.fromMe) onMessage(message); };
  // What WhatsApp delivered before anybody listened was never announced.
  const sweepMessages = guard('sweep', (store) => { for (const message of store.getModelsArray()) onNewMessage(message); });
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
    WPP.on('conn.main_ready', () => sweepMessages(WPP.whatsapp.MsgStore));
    WPP.on('conn.link_code_change', (code) => { pairingCode = text(code); hint('conn.link_code_change'); });
    WPP.on('conn.link_code_expired', () => { pairingCode = null; });
    WPP.on('conn.link_code_error', () => { pairingCode = null; hint('conn.link_code_error'); });
    WPP.on('conn.logout_reason', (reason) => { logoutReason = reason; });
    WPP.on('conn.logout', onLogout);
    WPP.on('chat.new_message', onMessage);
    WPP.on('chat.new_reaction', onReaction);
    WPP.on('chat.msg_revoke', onRevoke);
    WPP.on('chat.msg_ack_change', (change) => { for (const id of change.ids || []) onAck(id, change.ack, change.chat); });
    const onInjected = guard('injected', () => {
      modulesMissed = !found();
      if (modulesMissed) return hint('loader.injected');
      WPP.whatsapp.Socket.on('change:state', () => hint('socket'));
      hear(WPP.whatsapp.MsgStore);
      sweepMessages(WPP.whatsapp.MsgStore);
      tapReactions();
      hint('loader.injected');
    });
    if (WPP.isInjected) onInjected(); else WPP.on('loader.injected', onInjected);
  }

  /* ---- actions ---- */
  const refuse = (code) => { throw Object.assign(new Error(code), { code }); };
  const findMessage = (key) => attempt(() => WPP.whatsapp.MsgStore.get(key));
  const isGoingOut = (message) => !!message && Number(message.ack) >= 0;

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

  // Hand-overs under way, by message id. One goes on when its try has given up, and while a file is prepared its message
  // is not in the store yet. One that never ends keeps its id until the page is loaded again, for it may still go out.
  const underWay = new Map();
  const begin = (messageId, handOver) => {
    const begun = handOver(), end = () => underWay.delete(messageId);
    underWay.set(messageId, begun);
    begun.then(end, end);
  };

  // "not_sent" is promised only while the message has not been handed to WhatsApp: from then on its hand-over is under
  // way, or it lies in the store.
  async function deliver({ to, message_id: messageId, reply_to: replyTo }, limitMs, handOver) {
    const endsAt = performance.now() + limitMs;
    const prepared = (step) => within(step, Math.max(1, endsAt - performance.now()), 'timeout');
    const answered = (step) => within(step, Math.max(1000, endsAt - performance.now()), 'ack_timeout');
    let key = null;
    try {
      const chat = await prepared(findChat(to));
      key = await prepared(messageKey(chat, messageId));
      const isKnown = underWay.has(messageId) || isGoingOut(findMessage(key));
      const quotedMsg = isKnown ? undefined : await prepared(quoted(replyTo));
      // Nothing is awaited from here to the hand-over: a try that has given up does not come here, and of two that come
      // at once the second finds what the first began.
      const before = findMessage(key);
      if (isGoingOut(before)) return sent(await answered(taken(before)), key);
      if (!underWay.has(messageId)) {
        // WhatsApp refused it before, and the page shows it as failed: it makes room for the new try.
        if (before) { WPP.whatsapp.MsgStore.remove(before); attempt(() => chat.msgs.remove(before)); }
        begin(messageId, async () => handOver(chat.id.toString(), text(key), quotedMsg));
      }
      const result = await answered(underWay.get(messageId));
      const verdict = result && result.sendMsgResult && (result.sendMsgResult.messageSendResult || result.sendMsgResult);
      if (verdict && verdict !== 'OK') refuse(text(verdict));
      return sent(findMessage(key) || { ack: result && result.ack }, key);
    } catch (error) {
      const handed = underWay.has(messageId) || (key && findMessage(key)) || (error && error.code === 'ack_timeout');
      return failure(error, handed ? 'unknown' : 'not_sent', key);
    }
  }
  // Resolves once WhatsApp has taken a message that the page is still trying to send, rejects if it does not.
  const taken = (message) => {
    if (Number(message.ack) >= 1) return message;
    return new Promise((resolve, reject) => {
      message.on('change:ack', function look() {
        if (Number(message.ack) === 0) return;
        message.off('change:ack', look);
        if (Number(message.ack) >= 1) resolve(message); else reject(Object.assign(new Error('failed'), { code: 'failed' }));
      });
    });
  };
  const sent = (message, key) => ({ ok: true, message_id: text(key), ack: Number(message.ack) || 0, timestamp: Number(message.t) || Math.floor(Date.now() / 1000) });
  const SEND = { linkPreview: false, markIsRead: false, waitForAck: true };

  async function quoted(id) {
    if (!id) return undefined;
    try { return findMessage(id) || await WPP.chat.getMessageById(id); } catch (e) { return refuse('message_not_found'); }
  }
  const FILES = { image: { type: 'image' }, video: { type: 'video' }, audio: { type: 'audio' }, voice: { type: 'audio', isPtt: true }, document: { type: 'document' } };
  const handOvers = {
    text: (chat, content, options) => WPP.chat.sendTextMessage(chat, content.text, options),
    media: (chat, content, options, file) => WPP.chat.sendFileMessage(chat, file, { ...options, ...FILES[content.kind], filename: content.filename, mimetype: content.mimetype, caption: content.caption || undefined }),
    location: (chat, content, options) => WPP.chat.sendLocationMessage(chat, { ...options, lat: content.latitude, lng: content.longitude, name: content.name || undefined, address: content.address || undefined }),
    contact: (chat, content, options) => WPP.chat.sendVCardContactMessage(chat, { id: content.phone + '@c.us', name: content.name }, options),
  };

  function sendContent(message, upload, limitMs) {
    const { kind, content } = message;
    const parts = uploads.get(upload) || [];
    uploads.delete(upload);
    return deliver(message, limitMs, (chat, key, quotedMsg) => {
      const file = kind === 'media' ? new File(parts, content.filename, { type: content.mimetype }) : null;
      return handOvers[kind](chat, content, { ...SEND, messageId: key, quotedMsg }, file);
    });
  }

  // A reaction has no id that could be chosen, but one person has one reaction to a message: twice is the same as once.
  async function react(message, limitMs) {
    const { to, message_id: messageId, content } = message;
    let key = null, handed = false;
    try {
      const endsAt = performance.now() + limitMs;
      const chat = await within(findChat(to), limitMs, 'timeout');
      key = await within(messageKey(chat, messageId), Math.max(1, endsAt - performance.now()), 'timeout');
      const target = await within(quoted(content.message_id), Math.max(1, endsAt - performance.now()), 'timeout');
      if (!target.id || text(target.id.remote) !== text(chat.id)) refuse('message_not_found');
      handed = true;
      const result = await within(WPP.chat.sendReactionToMessage(target.id, content.emoji || false), Math.max(1000, endsAt - performance.now()), 'ack_timeout');
      if (result.sendMsgResult && result.sendMsgResult !== 'OK' && result.sendMsgResult.messageSendResult !== 'OK') { handed = false; refuse(text(result.sendMsgResult)); }
      return sent({ ack: 1 }, key);
    } catch (error) {
      return failure(error, handed ? 'unknown' : 'not_sent', key);
    }
  }

  /* ---- media of messages ---- */
  const PART_BYTES = 1500000;
  const asBase64 = (blob) => new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result).split(',')[1] || '');
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });

  async function fetchMedia(download, messageId, limitBytes) {
    if (!WPP.conn.isAuthenticated()) refuse('not_logged_in');
    const message = await quoted(messageId);
    if (!MEDIA.has(message.type)) refuse('no_media');
    if (Number(message.size || attempt(() => message.mediaData.size)) > limitBytes) refuse('media_too_large');
    let blob = null;
    try { blob = await WPP.chat.downloadMedia(text(message.id)); } catch (e) { refuse(e && e.code === 'message_not_contains_media' ? 'no_media' : 'media_gone'); }
    if (blob.size > limitBytes) refuse('media_too_large');
    downloads.set(download, blob);
    return { parts: Math.ceil(blob.size / PART_BYTES), mimetype: text(message.mimetype) || blob.type || 'application/octet-stream', filename: text(message.filename) };
  }

  const actions = {
    snapshot,
    send: (message, upload, limitMs) => (message.kind === 'reaction' ? react(message, limitMs) : sendContent(message, upload, limitMs)),
    addPart: (upload, part) => {
      const bytes = Uint8Array.from(atob(part), (letter) => letter.charCodeAt(0));
      uploads.set(upload, [...(uploads.get(upload) || []), bytes]);
    },
    dropParts: (upload) => { uploads.delete(upload); },
    fetchMedia,
    mediaPart: (download, index) => asBase64((downloads.get(download) || refuse('download_gone')).slice(index * PART_BYTES, (index + 1) * PART_BYTES)),
    dropMedia: (download) => { downloads.delete(download); },
    findNumber: async (phone) => { const found = await WPP.contact.queryExists(phone + '@c.us'); return found ? text(found.wid) : null; },
    pairingCode: async (phone) => {
      pairingCode = text(await WPP.conn.startLinkDeviceCodeForPhoneNumber(phone, true));
      hint('pairing_code');
      return pairingCode;
    },
    refreshQr: () => { pairingCode = null; attempt(() => WPP.conn.cancelLinkDeviceCode()); WPP.conn.refreshQR().catch(() => {}); },
    // The page reloads afterwards, so its promise is of no use to anybody.
    logout: () => { WPP.conn.logout().catch(() => {}); },
  };
  const ALWAYS = new Set(['snapshot', 'dropParts', 'dropMedia']);
  const call = async (name, args) => {
    if (!ALWAYS.has(name) && !(window.WPP && WPP.isInjected)) return { ok: false, outcome: 'not_sent', code: 'page_not_ready', error: '' };
    try { return { ok: true, value: await actions[name](...args) }; } catch (error) { return failure(error, 'not_sent', null); }
  };
  Object.defineProperty(window, '__blazz', { value: Object.freeze({ call, heardUpTo }), enumerable: false });

  holdModules();
  listen();
  if (new URLSearchParams(location.search).get('post_logout') === '1') onLogout(new URLSearchParams(location.search).get('logout_reason'));
}
