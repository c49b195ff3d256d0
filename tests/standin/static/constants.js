// Enums, build constants and small functions without state.
(function (g) {
  'use strict';
  const core = g.__standin;
  const { def, enumOf } = core;

  def('WAWebAck', () => ({
    ACK: {
      MD_DOWNGRADE: -7,
      INACTIVE: -6,
      CONTENT_UNUPLOADABLE: -5,
      CONTENT_TOO_BIG: -4,
      CONTENT_GONE: -3,
      EXPIRED: -2,
      FAILED: -1,
      CLOCK: 0,
      SENT: 1,
      RECEIVED: 2,
      READ: 3,
      PLAYED: 4,
      PEER: 5,
    },
    EDIT_ATTR: { SENDER_REVOKE: 7, ADMIN_REVOKE: 8 },
    ACK_STRING: {
      SENDER: 'sender',
      DELIVERY: 'delivery',
      READ: 'read',
      PLAYED: 'played',
      INACTIVE: 'inactive',
    },
  }));
  def('WAWebSocketConstants', () => ({
    SOCKET_STATE: enumOf(
      'OPENING',
      'PAIRING',
      'UNPAIRED',
      'UNPAIRED_IDLE',
      'CONNECTED',
      'TIMEOUT',
      'CONFLICT',
      'UNLAUNCHED',
      'PROXYBLOCK',
      'TOS_BLOCK',
      'SMB_TOS_BLOCK',
      'DEPRECATED_VERSION',
    ),
    SOCKET_STREAM: enumOf('DISCONNECTED', 'SYNCING', 'RESUMING', 'CONNECTED'),
    WATCHED_SOCKET_STATE: enumOf('OPEN', 'CLOSED'),
  }));
  def('WAWebSendMsgResultAction', () => ({
    SendMsgResult: enumOf('OK', 'ERROR_NETWORK', 'ERROR_EXPIRED', 'ERROR_CANCELLED', 'ERROR_UPLOAD', 'ERROR_UNKNOWN'),
  }));
  def('WAWebMsgType', () => ({
    MSG_TYPE: {
      CHAT: 'chat',
      IMAGE: 'image',
      VIDEO: 'video',
      AUDIO: 'audio',
      PTT: 'ptt',
      DOCUMENT: 'document',
      STICKER: 'sticker',
      LOCATION: 'location',
      VCARD: 'vcard',
      MULTI_VCARD: 'multi_vcard',
      CIPHERTEXT: 'ciphertext',
      PROTOCOL: 'protocol',
      REVOKED: 'revoked',
      E2E_NOTIFICATION: 'e2e_notification',
      GP2: 'gp2',
    },
    SYSTEM_MESSAGE_TYPES: [],
  }));
  def('WAWebLogoutReasonConstants', () => ({
    LogoutReason: {
      UserInitiated: 'user_initiated',
      UnknownCompanion: 'unknown_companion',
      AccountLocked: 'account_locked',
    },
    LOGOUT_REASON_CODE: {
      CLIENT_FATAL: '0',
      SYNC_FAIL: '1',
      INITIAL_HISTORY_SYNC_TIMEOUT: '2',
      ACCOUNT_LOCKED: '3',
    },
  }));
  def('WAWebLogoutReason', () => ({
    getErrorCodeFromLogoutReason: (r) => ({ user_initiated: '0' })[r] || '0',
    setPrevLogoutReasonCode() {},
    setPrevCustomLogoutMessage() {},
    getPrevLogoutReasonCode: () => null,
    getPrevCustomLogoutMessage: () => null,
  }));
  def('WAWebBuildConstants', () => {
    const version = core.cfg.version;
    const [primary, secondary, tertiary] = version.split('.');
    return {
      VERSION_STR: version,
      VERSION_BASE: version,
      VERSION_PRIMARY: primary,
      VERSION_SECONDARY: secondary,
      VERSION_TERTIARY: tertiary,
      WINDOWS_BUILD: null,
      SANITIZED_VERSION_STR: version,
    };
  });
  def('WAWebNonJidMentionType', () => ({ default: { MENTION_ALL: 1 } }));
  def('WAWebDropAttr', () => ({ DROP_ATTR: Symbol('DROP_ATTR') }));
  def('WAWebMiscBrowserUtils', () => ({
    default: {
      id: () => 'standin',
      startDownloading() {},
      info: () => ({ os: 'Linux', version: [10, 15, 7], name: 'Chrome', ua: navigator.userAgent }),
      hardRefresh: () => location.reload(),
    },
    info: () => ({ os: 'Linux', version: '10', name: 'Chrome', ua: navigator.userAgent }),
  }));
  def('WABase64', () => {
    // Byte by byte: a file is too long for the arguments of one call.
    function encodeB64(bytes) {
      let text = '';
      for (const byte of new Uint8Array(bytes)) text += String.fromCharCode(byte);
      return btoa(text);
    }
    return {
      encodeB64,
      encodeB64UrlSafe: (bytes) => encodeB64(bytes).replace(/\+/g, '-').replace(/\//g, '_'),
      decodeB64: (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0)).buffer,
    };
  });
  def('WATimeUtils', () => ({ unixTime: () => Math.floor(Date.now() / 1000), unixTimeMs: () => Date.now() }));
  def('WARandomHex', () => {
    const hex = (byte) => byte.toString(16).padStart(2, '0');
    return { randomHex: (length) => Array.from(crypto.getRandomValues(new Uint8Array(length)), hex).join('') };
  });
  def('WALinkify', () => {
    const found = (text) => String(text || '').match(/\bhttps?:\/\/[^\s<>"]+/gi) || [];
    const link = (href) => ({ href, url: href, suspiciousCharacters: new Set() });
    return {
      findLink: (text) => found(text).map(link)[0],
      findLinks: (text) => found(text).map(link),
      findFirstWebLink: (text) => found(text)[0] || null,
    };
  });
  def('WAWebOfficialClient', () => ({ isOfficialClient: true }));
  def('WAWebEnvironment', () => ({
    default: { isWeb: true, isWindows: false },
    isWeb: true,
    isWindows: false,
  }));
  def('WAWebABPropsApi', () => ({ getABPropConfigValue: () => 0 }));
  def('WAWebPrimaryFeatures', () => ({ primaryFeatureEnabled: () => false }));
})(self);
