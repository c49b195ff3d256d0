// Stores that exist so that a client can bind to them; most of them stay empty.
(function (g) {
  'use strict';
  const core = g.__standin;
  const { def, N, model, unmodelled } = core;

  // The class itself is not exported: a client whose finder prefers `...Impl` would take the class for the store.
  const store = (moduleId, name, modelModuleId, modelName, properties, extra) => {
    if (modelModuleId) def(modelModuleId, () => ({ default: model(modelName, properties) }));
    def(moduleId, () => {
      class Store extends N('WAWebBaseCollection').default {}
      if (modelModuleId) Store.model = N(modelModuleId).default;
      Object.assign(Store.prototype, extra);
      return { [name]: new Store() };
    });
  };
  store('WAWebPresenceCollection', 'PresenceCollection');
  store('WAWebBlocklistCollection', 'BlocklistCollection', 'WAWebBlocklistModel', 'Blocklist', ['id']);
  store(
    'WAWebProfilePicThumbCollection',
    'ProfilePicThumbCollection',
    'WAWebProfilePicThumbModel',
    'ProfilePicThumb',
    ['id', 'eurl', 'img', 'imgFull', 'tag'],
    {
      create(id) {
        return { id, eurl: '', img: '', imgFull: '', tag: '' };
      },
    },
  );
  store('WAWebTextStatusCollection', 'TextStatusCollection', 'WAWebStatusModel', 'Status', ['id', 'status'], {
    create(id) {
      return { id, status: 'Hey there! I am using WhatsApp.' };
    },
  });
  store('WAWebStatusCollection', 'StatusCollection', null, null, null, {
    getMyStatus() {
      return { msgs: new (N('WAWebBaseCollection').default)() };
    },
  });
  store('WAWebBusinessProfileCollection', 'BusinessProfileCollection', 'WAWebBusinessProfileModel', 'BusinessProfile', [
    'id',
  ]);
  store('WAWebLabelCollection', 'LabelCollection', 'WAWebLabelModel', 'Label', ['id', 'name'], {
    get: unmodelled('labels'),
    findFirst: unmodelled('labels'),
    getModelsArray: unmodelled('labels'),
  });
  store('WAWebReactionsCollection', 'ReactionsCollection', 'WAWebReactionsModel', 'Reactions', ['id']);
  store('WAWebMsgInfoCollection', 'MsgInfoCollection', 'WAWebMsgInfoModel', 'MsgInfo', ['id']);
  store('WAWebBotProfileCollection', 'BotProfileCollection', 'WAWebBotProfileModel', 'BotProfile', ['id', 'personaId']);
  def('WAWebGroupMetadataModel', () => ({
    default: model('GroupMetadata', ['id', 'subject', 'participants', 'announce']),
  }));
  def('WAWebGroupMetadataCollection', () => {
    const Collection = N('WAWebBaseCollection').default;
    class GroupMetadataCollection extends Collection {
      onParentGroupChange() {}
      _handleParentGroupChange() {}
    }
    GroupMetadataCollection.model = N('WAWebGroupMetadataModel').default;
    return { default: new GroupMetadataCollection() };
  });
  def('WAWebNewsletterCollection', () => {
    const Collection = N('WAWebBaseCollection').default;
    class NewsletterCollection extends Collection {}
    NewsletterCollection.model = N('WAWebChatModel').default;
    return { default: new NewsletterCollection() };
  });
  def('WAWebCallCollection', () => {
    const E = N('WAWebEventEmitter').default;
    class CallCollection extends E {
      constructor() {
        super();
        this._map = new Map();
      }
      processIncomingCall(c) {
        this._map.set(c.id, c);
        return c;
      }
      setActiveCall(c) {
        if (c) this._map.set(c.id, c);
        return c;
      }
    }
    return { default: new CallCollection() };
  });
  def('WAWebCollections', () => ({
    Msg: N('WAWebMsgCollection').MsgCollection,
    Chat: N('WAWebChatCollection').ChatCollection,
    Contact: N('WAWebContactCollection').ContactCollection,
    GroupMetadata: N('WAWebGroupMetadataCollection').default,
    Blocklist: N('WAWebBlocklistCollection').BlocklistCollection,
    BusinessProfile: N('WAWebBusinessProfileCollection').BusinessProfileCollection,
    WAWebNewsletterCollection: N('WAWebNewsletterCollection').default,
    Label: N('WAWebLabelCollection').LabelCollection,
    ProfilePicThumb: N('WAWebProfilePicThumbCollection').ProfilePicThumbCollection,
    StatusV3: N('WAWebStatusCollection').StatusCollection,
  }));
})(self);
