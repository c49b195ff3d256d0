// Contacts, chats and messages.
(function (g) {
  'use strict';
  const core = g.__standin;
  const { def, N, model, unmodelled } = core;

  def('WAWebPresenceModel', () => {
    const Presence = model('Presence', ['id', 'isOnline', 'hasData', 'isUser', 'isGroup']);
    Presence.prototype.subscribe = async function () {};
    return { Presence, Chatstate: model('Chatstate', ['id', 'type', 't', 'deny']) };
  });
  def('WAWebContactModel', () => {
    const C = model('Contact', [
      'id',
      'name',
      'pushname',
      'type',
      'isBusiness',
      'isEnterprise',
      'isContactBlocked',
      'verifiedName',
      'shortName',
      'phoneNumber',
      'verifiedLevel',
      'statusMute',
      'username',
    ]);
    return { default: C };
  });
  def('WAWebMsgModel', () => {
    const C = model('Msg', [
      'id',
      'ack',
      'body',
      'type',
      't',
      'from',
      'to',
      'self',
      'isNewMsg',
      'local',
      'author',
      'caption',
      'filename',
      'mimetype',
      'subtype',
      'notifyName',
      'mediaData',
      'directPath',
      'mediaKey',
      'filehash',
      'latestEditMsgKey',
      'star',
      'isForwarded',
      'links',
      'isUnsentMedia',
      'quotedStanzaID',
      'quotedParticipant',
      'quotedRemoteJid',
      'quotedMsg',
      'latestEditSenderTimestampMs',
      'protocolMessageKey',
      'size',
      'lat',
      'lng',
      'loc',
      'clientUrl',
      'vcardFormattedName',
      'vcardList',
      'isEphemeral',
      'isStatusV3',
    ]);
    Object.assign(C.prototype, {
      updateAck(a) {
        this.ack = a;
      },
      msgContextInfo() {
        return {
          quotedStanzaID: this.id.id,
          quotedParticipant: this.from,
          quotedMsg: { type: this.type, body: this.body },
        };
      },
      avParams() {
        return {};
      },
      // As on the real page, a file that is not there any more makes no error: it just does not come.
      async downloadMedia() {
        const blob = await core.messages.fetchMedia(this.filehash, this.mimetype);
        if (blob) this.mediaData.mediaBlob = new (N('WAWebMediaOpaqueData').default)(blob, this.mimetype);
        this.mediaData.mediaStage = blob ? 'RESOLVED' : 'ERROR_MISSING';
      },
    });
    return { default: C };
  });
  def('WAWebMsgCollection', () => {
    const Collection = N('WAWebBaseCollection').default;
    class MsgCollectionImpl extends Collection {
      async processMultipleMessages(_chatId, msgs) {
        for (const message of msgs) {
          if (message.type === 'protocol') await core.messages.applyProtocol(message);
          else core.messages.add(message);
        }
      }
      async getMessagesById(ids) {
        const messages = await Promise.all(ids.map((id) => core.history.load(id)));
        return { messages: messages.filter(Boolean) };
      }
    }
    MsgCollectionImpl.model = N('WAWebMsgModel').default;
    return { MsgCollection: new MsgCollectionImpl(), MsgCollectionImpl };
  });
  def('WAWebChatMsgsCollection', () => {
    const Collection = N('WAWebBaseCollection').default;
    class ChatMsgsCollection extends Collection {
      getLastReceivedMsg() {
        return this.last();
      }
    }
    ChatMsgsCollection.model = N('WAWebMsgModel').default;
    return { ChatMsgsCollection };
  });
  def('WAWebMuteModel', () => ({ default: model('Mute', ['id', 'expiration', 'isMuted']) }));
  def('WAWebChatModel', () => {
    const C = model('Chat', [
      'id',
      't',
      'unreadCount',
      'name',
      'archive',
      'pin',
      'lastReceivedKey',
      'active',
      'formattedTitle',
      'mute',
      'contact',
      'presence',
      'msgs',
      'labels',
      'groupMetadata',
    ]);
    return { default: C, Chat: C };
  });
  def('WAWebChatCollection', () => {
    const Collection = N('WAWebBaseCollection').default;
    class ChatCollectionImpl extends Collection {
      create(id) {
        const { ChatMsgsCollection } = N('WAWebChatMsgsCollection');
        const Mute = N('WAWebMuteModel').default;
        const { Presence } = N('WAWebPresenceModel');
        const wid = N('WAWebWidFactory').createWid(id);
        if (!wid.isUser()) unmodelled(`chats like ${wid}, only single contacts`)();
        const contact = N('WAWebContactCollection').ContactCollection.get(wid);
        return new (N('WAWebChatModel').default)({
          id: wid,
          t: Math.floor(Date.now() / 1000),
          unreadCount: 0,
          name: contact && contact.name,
          formattedTitle: (contact && contact.name) || wid.user,
          archive: false,
          pin: 0,
          mute: new Mute({ id: wid, expiration: 0 }),
          presence: N('WAWebPresenceCollection').PresenceCollection.add(
            new Presence({ id: wid, isUser: true, isGroup: false, hasData: false }),
          ),
          contact,
          msgs: new ChatMsgsCollection(),
          labels: [],
        });
      }
      async find(id) {
        const w = N('WAWebWidFactory').createWid(id);
        return this.get(w) || this.add(this.create(w));
      }
    }
    ChatCollectionImpl.model = N('WAWebChatModel').default;
    return { ChatCollection: new ChatCollectionImpl(), ChatCollectionImpl };
  });
  def('WAWebContactCollection', () => {
    const Collection = N('WAWebBaseCollection').default;
    class ContactCollectionImpl extends Collection {
      create(id) {
        const w = N('WAWebWidFactory').createWid(id);
        return new (N('WAWebContactModel').default)({
          id: w,
          type: 'in',
          isBusiness: false,
          isEnterprise: false,
          isContactBlocked: false,
        });
      }
      async find(id) {
        const w = N('WAWebWidFactory').createWid(id);
        return this.get(w) || this.add(this.create(w));
      }
      getMeContact() {
        return this.get(N('WAWebUserPrefsMeUser').getMaybeMePnUser());
      }
    }
    ContactCollectionImpl.model = N('WAWebContactModel').default;
    return { ContactCollection: new ContactCollectionImpl(), ContactCollectionImpl };
  });
})(self);
