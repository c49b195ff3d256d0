// Messages in both directions. A message counts as sent when the server has acknowledged it. A refused type never
// shows up in a chat; any other message the server refuses stays there as failed, as on the real page.
(function (g) {
  'use strict';
  const core = g.__standin;
  const { N, cfg, history } = core;

  const outbox = new Map(); // message id -> {frame, resolve, reject}, until the server has answered
  const uploaded = new Map(); // file hash -> base64 bytes, until a message has taken them

  // Puts a message into its chat and into the collections; `data` is a model or its attributes.
  function add(data) {
    const Msg = N('WAWebMsgModel').default;
    const chats = N('WAWebChatCollection').ChatCollection;
    const message = data instanceof Msg ? data : new Msg(data);
    const chat = chats.get(message.id.remote) || chats.add(chats.create(message.id.remote));
    N('WAWebMsgCollection').MsgCollection.add(message);
    chat.msgs.add(message);
    chat.lastReceivedKey = message.id;
    chat.t = message.t;
    if (!message.id.fromMe && message.isNewMsg) chat.unreadCount = (chat.unreadCount || 0) + 1;
    return message;
  }

  // Resolves with the server's acknowledgement, rejects with its refusal. While the connection is down the frame
  // waits and is sent again after the next log-in; the server knows a repeated id.
  function offer(frame) {
    return new Promise((resolve, reject) => {
      outbox.set(frame.id, { frame, resolve, reject });
      if (core.session.isOpen()) core.session.tell(frame);
    });
  }

  function answered(id) {
    const waiting = outbox.get(id);
    outbox.delete(id);
    return waiting || { resolve() {}, reject() {} };
  }

  function resend() {
    for (const { frame } of outbox.values()) core.session.tell(frame);
  }

  // Asks the server about a message type that this page has no sending path for; it always refuses.
  async function checkType(type) {
    if (cfg.messageTypes.includes(type)) return;
    await offer({ t: 'message', id: await N('WAWebMsgKey').default.newId(), to: null, type });
  }

  function frameOf(chat, message) {
    const { type, body, caption, filename, mimetype, filehash, quotedStanzaID, lat, lng, loc } = message;
    const media = uploaded.get(filehash);
    uploaded.delete(filehash);
    const id = message.id.id;
    const to = chat.id.toString();
    const file = { caption, filename, mimetype, filehash, media };
    return { t: 'message', id, to, type, body, ...file, quoted: quotedStanzaID, lat, lng, loc };
  }

  async function sendReaction(message, text) {
    const id = await N('WAWebMsgKey').default.newId();
    const parent = { id: message.id.id, fromMe: !!message.id.fromMe };
    await offer({ t: 'reaction', id, to: message.id.remote.toString(), parent, text });
    return 'OK';
  }

  async function fetchMedia(filehash, mimetype) {
    const answer = await fetch('/mms?hash=' + encodeURIComponent(filehash));
    return answer.ok ? new Blob([await answer.arrayBuffer()], { type: mimetype }) : null;
  }

  // As on the real page: returns [promise of the message in the chat, promise of the server's result].
  function send(chat, data) {
    const modelled = cfg.messageTypes.includes(data.type);
    const accepted = (async () => {
      const message = modelled ? add(data) : data;
      if (modelled) history.keep(message).catch((e) => console.error('[standin] message row', e));
      try {
        await offer(frameOf(chat, message));
      } catch (e) {
        message.ack = N('WAWebAck').ACK.FAILED;
        throw e;
      }
      message.ack = N('WAWebAck').ACK.SENT;
      return { messageSendResult: 'OK', t: message.t };
    })();
    accepted.catch(() => {}); // reported to whoever awaits the result
    const shown = modelled
      ? Promise.resolve(N('WAWebMsgCollection').MsgCollection.get(data.id))
      : accepted.then(() => data);
    shown.catch(() => {});
    return [shown, accepted];
  }

  const received = (id) => core.session.isOpen() && core.session.tell({ t: 'received', id });
  const keyOf = (from, { id, fromMe }) => new (N('WAWebMsgKey').default)({ fromMe, remote: from, id });

  async function receiveReaction(wire, from) {
    await N('WAWebDBAddReactions').addOrUpdateReactionsModelCollection(
      {
        msgKey: keyOf(from, { id: wire.id, fromMe: false }).toString(),
        parentMsgKey: keyOf(from, wire.ref).toString(),
        reactionText: wire.body,
        senderUserJid: String(from),
        read: false,
        orphan: 0,
        t: wire.ts,
      },
      true,
    );
  }

  const receiveProtocol = (subtype) => (wire, from) =>
    // Through the namespace: wa-js replaces this function to see what was taken back.
    N('WAWebMsgCollection').MsgCollection.processMultipleMessages(from, [
      {
        id: keyOf(from, { id: wire.id, fromMe: false }),
        type: 'protocol',
        subtype,
        protocolMessageKey: keyOf(from, wire.ref),
        body: wire.body,
        from,
        to: N('WAWebWidFactory').createWid(wire.to),
        t: wire.ts,
        isNewMsg: true,
      },
    ]);

  // A message that is not loaded is changed where it lies, and nobody who listens to models hears of it.
  const protocols = {
    sender_revoke: () => [{ body: '', type: 'revoked' }, (row) => ({ ...row, type: 'revoked', msgRowOpaqueData: {} })],
    message_edit: ({ id, body, t }) => [
      { body, latestEditSenderTimestampMs: t * 1000, latestEditMsgKey: id },
      (row) => ({ ...row, msgRowOpaqueData: { ...row.msgRowOpaqueData, body } }),
    ],
  };

  async function applyProtocol(data) {
    const [attributes, change] = protocols[data.subtype](data);
    const message = N('WAWebMsgCollection').MsgCollection.get(data.protocolMessageKey);
    if (message) Object.assign(message, attributes);
    await history.change(data.protocolMessageKey, change);
  }

  const changes = {
    reaction: receiveReaction,
    edit: receiveProtocol('message_edit'),
    revoke: receiveProtocol('sender_revoke'),
  };

  function contentOf(wire) {
    const { type, body, caption, filename, mimetype, filehash, size, lat, lng, loc, quoted } = wire;
    const content = { type, body, caption, filename, mimetype, filehash, size, lat, lng, loc };
    if (filehash)
      content.mediaData = new (N('WAWebMediaDataModel').default)({ type, mimetype, filehash, size, mediaStage: 'INIT' });
    if (quoted) {
      content.quotedStanzaID = quoted.id;
      content.quotedParticipant = N('WAWebWidFactory').createWid(quoted.from);
    }
    return Object.fromEntries(Object.entries(content).filter(([, value]) => value !== undefined && value !== null));
  }

  async function receive(wire) {
    if (wire.type in changes) {
      await changes[wire.type](wire, N('WAWebWidFactory').createWid(wire.from));
      return received(wire.id);
    }
    return receiveMessage(wire);
  }

  async function receiveMessage(wire) {
    const { createWid } = N('WAWebWidFactory');
    const MsgKey = N('WAWebMsgKey').default;
    const from = createWid(wire.from);
    const data = {
      id: new MsgKey({ fromMe: false, remote: from, id: wire.id }),
      ack: 1,
      ...contentOf(wire),
      t: wire.ts,
      from,
      to: createWid(wire.to),
      self: 'in',
      isNewMsg: true,
      notifyName: wire.pushname,
      links: [],
    };
    // Through the namespace: wa-js replaces this function to see incoming messages.
    const known = N('WAWebMsgCollection').MsgCollection;
    if (!known.get(data.id)) await known.processMultipleMessages(from, [data]);
    // What is not confirmed comes again: a browser that dies in between must not lose a message.
    await history.keep(known.get(data.id));
    received(wire.id);
  }

  async function receipt(frame) {
    const from = N('WAWebWidFactory').createWid(frame.from_);
    await N('WAWebHandleChatSimpleReceipt').handleChatSimpleReceipt({
      type: 'receipt',
      stanzaId: 's',
      externalIds: [frame.id],
      from,
      participant: null,
      recipient: null,
      ts: frame.ts,
      ack: frame.ack,
      ackString: { 2: 'delivery', 3: 'read', 4: 'played' }[frame.ack] || null,
      offline: null,
    });
  }

  core.messages = {
    add,
    send,
    sendReaction,
    fetchMedia,
    applyProtocol,
    receive,
    receipt,
    resend,
    checkType,
    uploaded,
    ack: (frame) => answered(frame.id).resolve(frame),
    nack: (frame) => answered(frame.id).reject(new Error(frame.error)),
  };
})(self);
