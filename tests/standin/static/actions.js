// What a client can do: find chats, send, mark as seen, show typing, ask whether a number exists. Every action either
// reaches the server or fails; below them are the functions that clients only wrap.
(function (g) {
  'use strict';
  const core = g.__standin;
  const { def, N, unmodelled } = core;

  def('WAWebFindChatAction', () => {
    const chats = () => N('WAWebChatCollection').ChatCollection;
    return {
      async findOrCreateLatestChat(id) {
        const wid = N('WAWebWidFactory').createWid(id);
        const known = chats().get(wid);
        return { chat: known || (await chats().find(wid)), created: !known };
      },
      findExistingChat: async (id) => chats().get(id),
    };
  });
  def('WAWebSendMsgChatAction', () => ({ addAndSendMsgToChat: (chat, data) => core.messages.send(chat, data) }));
  def('WAWebSendReactionMsgAction', () => ({
    sendReactionToMsg: (message, text) => core.messages.sendReaction(message, text),
  }));
  def('WAWebFrontendVcardUtils', () => {
    const vcardOf = (contact) => {
      const [name, number] = [contact.name || contact.pushname || contact.id.user, contact.id.user];
      const lines = ['BEGIN:VCARD', 'VERSION:3.0', `N:;${name};;;`, `FN:${name}`];
      lines.push(`TEL;type=CELL;type=VOICE;waid=${number}:+${number}`, 'END:VCARD');
      return { displayName: name, vcard: lines.join('\n'), isMultiVcard: false };
    };
    return { vcardFromContactModel: vcardOf, mergeVcards: unmodelled('several contacts in one card') };
  });
  def('WAWebUpdateUnreadChatAction', () => ({
    async sendSeen({ chat }) {
      if (chat.unreadCount) core.session.tell({ t: 'seen', chat: chat.id.toString() });
      chat.unreadCount = 0;
    },
    markUnread: async () => unmodelled('marking a chat as unread')(),
  }));
  def('WAWebChatPresence', () => {
    const show = (state) => async (chat) => core.session.tell({ t: 'chatstate', to: chat.id.toString(), state });
    return { markComposing: show('composing'), markPaused: show('paused'), markRecording: show('recording') };
  });
  // Availability is kept in the page alone: nobody on this server watches it.
  def('WAWebPresenceChatAction', () => {
    const set = (available) => async () => {
      N('WAWebStreamModel').Stream.available = available;
    };
    return { sendPresenceAvailable: set(true), sendPresenceUnavailable: set(false) };
  });
  def('WAWebQueryExistsJob', () => ({
    async queryWidExists(wid) {
      const answer = await core.session.ask({ t: 'exists', user: wid.user });
      return answer.exists ? { wid, biz: false } : null;
    },
    queryPhoneExists: async () => unmodelled('looking up numbers in another format')(),
  }));
  def('WAWebLinkPreviewChatAction', () => ({ getLinkPreview: async () => null }));
  def('WAWebMinimalLinkPreview', () => ({ genMinimalLinkPreview: async () => null }));

  // Receipts pass through these named functions, so that clients which wrap them (wa-js: chat.msg_ack_change) see them.
  async function takeReceipt({ externalIds, from, ack }) {
    const MsgKey = N('WAWebMsgKey').default;
    for (const id of externalIds) {
      const message = N('WAWebMsgCollection').MsgCollection.get(new MsgKey({ fromMe: true, remote: from, id }));
      if (message && ack > message.ack) message.ack = ack;
    }
  }
  def('WAWebHandleChatSimpleReceipt', () => ({ handleChatSimpleReceipt: takeReceipt }));
  def('WAWebHandleGroupSimpleReceipt', () => ({ handleGroupSimpleReceipt: takeReceipt }));
  def('WAWebHandleStatusSimpleReceipt', () => ({ handleStatusSimpleReceipt: takeReceipt }));

  // Inner steps of the real page. Clients wrap them; nothing here runs them, and who calls one directly is told so.
  const inner = (what) => async () => unmodelled(what)();
  def('WAWebBackendJobsCommon', () => ({ mediaTypeFromProtobuf: () => null, encodeMaybeMediaType: (type) => type }));
  def('WAWebE2EProtoUtils', () => ({ typeAttributeFromProtobuf: () => 'text' }));
  def('WAWebE2EProtoGenerator', () => ({ createMsgProtobuf: (message) => ({ conversation: message.body }) }));
  def('WAWebSendMsgCreateFanoutStanza', () => ({ createFanoutMsgStanza: inner('stanzas') }));
  def('WAWebSendMsgJob', () => ({ encryptAndSendMsg: inner('encryption') }));
  def('WAWebEncryptAndSendStatusMsg', () => ({ encryptAndSendStatusMsg: inner('status messages') }));
  def('WAWebMsgProcessingApiUtils', () => ({ handleSingleMsg: inner('stanzas') }));
  def('WAWebCreateChatRecord', () => ({ createChatRecord: inner('chat records') }));
  // Clients wrap it to see reactions; here the last one of each person is kept.
  def('WAWebDBAddReactions', () => {
    const reactions = new Map();
    return {
      async addOrUpdateReactionsModelCollection({ parentMsgKey, senderUserJid, reactionText }) {
        reactions.set(`${parentMsgKey} ${senderUserJid}`, reactionText);
      },
    };
  });
  def('WAWebDBUpsertVotes', () => ({ upsertVotesDb: inner('poll votes') }));
  def('WAWebDBGroupAction', () => ({ updateDBForGroupAction: inner('groups') }));
  def('WAWebLabelActions', () => ({
    addToLabelCollection: inner('labels'),
    removeLabelFromCollection: inner('labels'),
    createLabelItemId: unmodelled('labels'),
    getParentCollection: unmodelled('labels'),
    initializeLabels: unmodelled('labels'),
  }));
  def('WAWebInboxFilters', () => ({ isFilterExcludedFromSearchTreatmentInInboxFlow: () => false }));
  def('WAWebGetNumChatsPinned', () => ({ getNumChatsPinned: () => 0 }));
  def('WAWebChatSearchQuery', () => {
    class SearchQuery {
      updateLabelQuery(filter) {
        this.filter = filter;
      }
    }
    return { SearchQuery };
  });
  def('WAMd5', () => ({ md5: unmodelled('MD5'), md5ArrayBufferHex: unmodelled('MD5') }));
  def('WAWebVoipCallState', () => ({
    CallState: { None: 0, Calling: 1, ReceivedCall: 3, ReceivedCallWithoutOffer: 8, CallActive: 6 },
  }));
  def('WAWebGenerateVideoThumbs', () => ({ generateVideoThumbsAndDuration: inner('videos') }));
  def('WAWebProcessRawSticker', () => ({ processRawSticker: inner('stickers') }));
})(self);
