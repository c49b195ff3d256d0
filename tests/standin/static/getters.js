// Pure getters which the clients call on contacts, chats and messages.
(function (g) {
  'use strict';
  const core = g.__standin;
  const { def, N } = core;

  def('WAWebContactGetters', () => {
    return {
      getNotifyName: (c) => c.pushname,
      getPremiumMessageName: (c) => c.name,
      getUserid: (c) => c.id.user,
      getUserhash: () => null,
      getIsMe: (c) => N('WAWebUserPrefsMeUser').isMeAccount(c.id),
      getIsUser: (c) => c.id.isUser(),
      getIsGroup: (c) => c.id.isGroup(),
      getIsBroadcast: (c) => c.id.isBroadcast(),
      getIsNewsletter: (c) => c.id.isNewsletter(),
      getIsPSA: (c) => c.id.isPSA(),
      getIsIAS: () => false,
      getIsSupportAccount: () => false,
      getIsWAContact: () => true,
      getCanRequestPhoneNumber: () => false,
      getShowBusinessCheckmarkAsPrimary: () => false,
      getShowBusinessCheckmarkAsSecondary: () => false,
      getShowBusinessCheckmarkInChatlist: () => false,
      getIsDisplayNameApproved: () => true,
      getShouldForceBusinessUpdate: () => false,
      getVerifiedName: (c) => c.verifiedName,
      getVerifiedLevel: (c) => c.verifiedLevel,
      getStatusMute: () => false,
      getName: (c) => c.name,
      getShortName: (c) => c.shortName || c.name,
      getPushname: (c) => c.pushname,
      getIsEnterprise: (c) => !!c.isEnterprise,
      getTextStatusString: () => '',
    };
  });
  def('WAWebFrontendContactGetters', () => {
    const number = (c) => '+' + c.id.user;
    const name = (c) => c.name || c.pushname || number(c);
    return {
      getPhoneNumber: (c) => c.phoneNumber || c.id,
      getTextStatusString: () => '',
      getPnForLid: () => null,
      getDisplayName: name,
      getUserDisplayNameForLid: name,
      getFormattedPhone: number,
      getFormattedUsernameOrPhone: number,
      getFormattedShortNameWithNonBreakingSpaces: name,
      getFormattedShortName: name,
      getFormattedName: name,
      getFormattedUser: number,
      getSearchName: name,
      getIsMyContact: (c) => !!c.name,
      getMentionName: name,
      getSearchVerifiedName: () => '',
      getHeader: (c) => name(c)[0],
    };
  });
  def('WAWebChatGetters', () => ({
    getIsNewsletter: (c) => c.id.isNewsletter(),
    getIsBroadcast: (c) => c.id.isBroadcast(),
    getIsGroup: (c) => c.id.isGroup(),
    getHasUnread: (c) => c.unreadCount > 0,
  }));
  def('WAWebFrontendChatGetters', () => ({
    getShouldAppearInList: () => true,
    getPreviewMessage: (c) => c.msgs.last(),
    getShowChangeNumberNotification: () => false,
    getShouldShowUnreadDivider: () => false,
  }));
  def('WAWebMsgGetters', () => ({
    getIsUnreadType: () => true,
    getAsMms: () => null,
    getQuotedMsgObj: () => null,
  }));
  def('WAWebApiContact', () => ({
    getAlternateUserWid: () => null,
    getCurrentLid: () => null,
    getPhoneNumber: () => null,
  }));
  def('WAWebLidPnCache', () => ({
    lidPnCache: { getPhoneNumber: () => undefined, getCurrentLid: () => undefined },
  }));
  def('WAWebLid1X1MigrationGating', () => ({ Lid1X1MigrationUtils: { isLidMigrated: () => false } }));
  def('WAWebLidMigrationUtils', () => ({ toPn: (x) => x, toUserLid: (x) => x, toUserLidOrThrow: (x) => x }));
  def('WAWebSyncGatingUtils', () => ({ isPlaceholderMessageResendEnabled: () => false }));
  def('WAWebNonMessageDataRequestPlaceholderMessageResendUtils', () => ({ handlePlaceholderMsgsSeen() {} }));
  def('WAWebAddonReactionTableMode', () => ({ reactionTableMode: { bulkUpsert: async () => {} } }));
  def('WAWebAddonPollVoteTableMode', () => ({ pollVoteTableMode: { bulkUpsert: async () => {} } }));
  def('WAWebMsgReply', () => ({ canReplyMsg: () => true }));
  def('WAWebGetEphemeralFieldsMsgActionsUtils', () => ({ getEphemeralFields: () => ({}) }));
  def('WAWebMsgDataFromModel', () => ({ msgDataFromMsgModel: (m) => m.serialize() }));
  def('WAWebGetMessageSearchContext', () => ({
    getSearchContext: (_chat, id) => ({
      collection: { loadAroundPromise: core.history.load(id), get: () => undefined },
    }),
  }));
})(self);
