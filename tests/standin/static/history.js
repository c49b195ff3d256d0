// Messages as they lie in IndexedDB: they outlive the page, and are loaded into the collections one by one when somebody
// asks for them, as on the real page. Chats are there from the start, with no messages in them.
(function (g) {
  'use strict';
  const core = g.__standin;
  const { N, storage } = core;

  const KEPT = ['body', 'caption', 'filename', 'mimetype', 'filehash', 'size', 'lat', 'lng', 'loc', 'quotedStanzaID'];
  const messages = () => N('WAWebMsgCollection').MsgCollection;
  const chats = () => N('WAWebChatCollection').ChatCollection;
  const chatOf = (id) => chats().get(id) || chats().add(chats().create(id));

  function rowOf(message) {
    const content = Object.fromEntries(KEPT.map((name) => [name, message[name]]));
    const { type, ack, t, notifyName, quotedParticipant } = message;
    const [id, from, to] = [message.id, message.from, message.to].map(String);
    const quoted = quotedParticipant && String(quotedParticipant);
    const msgRowOpaqueData = { ...content, quotedParticipant: quoted, notifyName };
    return { id, rowId: Date.now(), from, to, t, type, ack, msgRowOpaqueData };
  }

  function modelOf(row) {
    const { createWid } = N('WAWebWidFactory');
    const { quotedParticipant, ...content } = row.msgRowOpaqueData;
    const { filehash, mimetype, size } = content;
    const { type, ack, t } = row;
    const id = N('WAWebMsgKey').default.fromString(row.id);
    const attributes = { id, type, ack, t, ...content, self: id.fromMe ? 'out' : 'in', isNewMsg: false, links: [] };
    if (filehash)
      attributes.mediaData = new (N('WAWebMediaDataModel').default)({ type, mimetype, filehash, size, mediaStage: 'INIT' });
    if (quotedParticipant) attributes.quotedParticipant = createWid(quotedParticipant);
    const given = Object.entries({ ...attributes, from: createWid(row.from), to: createWid(row.to) });
    return new (N('WAWebMsgModel').default)(Object.fromEntries(given.filter(([, value]) => value !== undefined)));
  }

  const keep = (message) => storage.put('model-storage', 'message', rowOf(message));

  // Brings a stored message into the collections; undefined when there is none.
  async function load(id) {
    const known = messages().get(id);
    if (known) return known;
    const row = await storage.get('model-storage', 'message', String(id));
    if (!row) return undefined;
    const message = messages().add(modelOf(row));
    chatOf(message.id.remote).msgs.add(message);
    return message;
  }

  // Changes a stored message, whether it is loaded or not.
  async function change(id, make) {
    const row = await storage.get('model-storage', 'message', String(id));
    if (row) await storage.put('model-storage', 'message', make(row));
  }

  async function openChats() {
    const rows = await storage.all('model-storage', 'message');
    for (const row of rows.sort((a, b) => a.t - b.t)) {
      const id = N('WAWebMsgKey').default.fromString(row.id);
      Object.assign(chatOf(id.remote), { t: row.t, lastReceivedKey: id });
    }
  }

  core.history = { keep, load, change, openChats };
})(self);
