// User and chat ids (Wid) and message keys.
(function (g) {
  'use strict';
  const core = g.__standin;
  const { def, N } = core;

  def('WAWebWid', () => {
    class Wid {
      constructor(text) {
        const at = text.indexOf('@');
        const [user, device] = text.slice(0, at).split(':');
        this.server = text.slice(at + 1);
        this.user = user;
        if (device !== undefined) this.device = Number(device);
        this._serialized = text;
      }
      toString() {
        return this._serialized;
      }
      toJid() {
        return this._serialized.replace('@c.us', '@s.whatsapp.net');
      }
      toLogString() {
        return this._serialized;
      }
      isUser() {
        return ['c.us', 'lid', 'bot'].includes(this.server);
      }
      isRegularUser() {
        return this.isUser();
      }
      isRegularUserPn() {
        return this.server === 'c.us';
      }
      isGroup() {
        return this.server === 'g.us';
      }
      isLid() {
        return this.server === 'lid';
      }
      isBroadcast() {
        return this.server === 'broadcast';
      }
      isStatus() {
        return this._serialized === 'status@broadcast';
      }
      isStatusV3() {
        return this.isStatus();
      }
      isNewsletter() {
        return this.server === 'newsletter';
      }
      isBot() {
        return this.server === 'bot';
      }
      isPSA() {
        return this._serialized === '0@c.us';
      }
      isServer() {
        return this.server === 's.whatsapp.net';
      }
      isCompanion() {
        return this.device !== undefined && this.device !== 0;
      }
      isCAPISupportAccount() {
        return false;
      }
      isIAS() {
        return false;
      }
      isHosted() {
        return false;
      }
      isFbidBot() {
        return false;
      }
      isEligibleForUSync() {
        return this.isUser();
      }
      getSignalAddress() {
        return this.user + '.' + (this.device || 0);
      }
      equals(other) {
        return !!other && this._serialized === other.toString();
      }
      isSameAccountAndAddressingMode(other) {
        return this.equals(other);
      }
      static isXWid(server, thing) {
        return thing instanceof Wid && thing.server === server;
      }
      static isWid(x) {
        return x instanceof Wid || (typeof x === 'string' && /@/.test(x));
      }
      static isUser(x) {
        return new Wid(String(x)).isUser();
      }
      static isGroup(x) {
        return new Wid(String(x)).isGroup();
      }
      static isLid(x) {
        return new Wid(String(x)).isLid();
      }
      static isStatusV3(x) {
        return String(x) === 'status@broadcast';
      }
    }
    return { default: Wid };
  });
  def('WAWebWidFactory', () => {
    const Wid = N('WAWebWid').default;
    const same = (wid) => wid;
    function createWid(thing) {
      if (thing instanceof Wid) return thing;
      const text = String((thing && thing._serialized) || thing).replace('@s.whatsapp.net', '@c.us');
      if (!/^[\w.:-]*@[\w.]+$/.test(text)) throw new Error('wid error: invalid wid ' + text);
      return new Wid(text);
    }
    const createUserWidOrThrow = (user, server = 'c.us') =>
      createWid(String(user).includes('@') ? user : `${user}@${server}`);
    const withoutDevice = (wid) => createWid(`${wid.user}@${wid.server}`);
    const looksLikeWid = (thing) => !!thing && typeof thing.user === 'string' && typeof thing.server === 'string';
    return {
      createWid,
      createUserWidOrThrow,
      createUserWid: createUserWidOrThrow,
      createDeviceWid: createWid,
      createWidFromWidLike: (thing) => (thing instanceof Wid ? thing : withoutDevice(thing)),
      isWidlike: looksLikeWid,
      toUserWid: withoutDevice,
      toUserWidOrThrow: withoutDevice,
      asUserWidOrThrow: same,
      asUserLidOrThrow: same,
      asGroupWidOrThrow: same,
      asChatWid: same,
      toChatWid: same,
    };
  });

  def('WAWebMsgKey', () => {
    const { createWid } = N('WAWebWidFactory');
    const wid = (thing) => (thing && typeof thing !== 'object' ? createWid(thing) : thing);

    class MsgKey {
      // Takes {fromMe, remote, id} or {from, to, selfDir, id}; wa-js knows the class by the text of this error.
      constructor(parts) {
        if (!parts) throw new Error('MsgKey error: obj is null/undefined');
        const directed = parts.from !== undefined || parts.selfDir !== undefined;
        this.fromMe = directed ? parts.selfDir === 'out' : parts.fromMe;
        this.remote = wid(directed ? (this.fromMe ? parts.to : parts.from) : parts.remote);
        this.id = parts.id;
        if (parts.participant) this.participant = wid(parts.participant);
        if (parts.selfDir) this.self = parts.selfDir;
        const fields = [!!this.fromMe, this.remote, this.id];
        if (this.participant) fields.push(this.participant);
        this._serialized = fields.join('_');
      }
      toString() {
        return this._serialized;
      }
      clone() {
        return new MsgKey(this);
      }
      equals(other) {
        return !!other && other.toString() === this._serialized;
      }
      static from(parts) {
        return new MsgKey(parts);
      }
      static fromString(text) {
        const [fromMe, remote, id, participant] = String(text).split('_');
        return new MsgKey({ fromMe: fromMe === 'true', remote, id, participant });
      }
      static newId_DEPRECATED() {
        return '3EB0' + N('WARandomHex').randomHex(9).toUpperCase();
      }
      static async newId() {
        return MsgKey.newId_DEPRECATED();
      }
      static displayName() {
        return 'MsgKey';
      }
    }
    return { default: MsgKey };
  });
})(self);
