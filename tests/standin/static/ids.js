// User and chat ids (Wid) and message keys.
(function (g) {
  'use strict';
  const core = g.__standin;
  const { def, N } = core;

  def('WAWebWid', () => {
    class Wid {
      constructor(s) {
        const i = s.indexOf('@');
        this.server = s.slice(i + 1);
        const u = s.slice(0, i);
        const [user, device] = u.split(':');
        this.user = user;
        if (device !== undefined) this.device = Number(device);
        this._serialized = s;
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
      equals(o) {
        return !!o && this._serialized === o.toString();
      }
      isSameAccountAndAddressingMode(o) {
        return this.equals(o);
      }
      static isXWid(t, x) {
        return x instanceof Wid && x.server === t;
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
    const createWid = (s) => {
      if (s instanceof Wid) return s;
      s = String(s && s._serialized ? s._serialized : s).replace('@s.whatsapp.net', '@c.us');
      if (!/^[\w.:-]*@[\w.]+$/.test(s)) throw new Error('wid error: invalid wid ' + s);
      return new Wid(s);
    };
    const createUserWidOrThrow = (user, server = 'c.us') =>
      createWid(String(user).includes('@') ? user : `${user}@${server}`);
    return {
      createWid,
      createUserWidOrThrow,
      createUserWid: createUserWidOrThrow,
      createWidFromWidLike: (x) =>
        x instanceof Wid ? x : createWid(x._serialized || `${x.user}@${x.server}`),
      isWidlike: (x) =>
        x instanceof Wid ||
        (!!x && typeof x === 'object' && typeof x.user === 'string' && typeof x.server === 'string'),
      toUserWid: (w) => createWid(`${w.user}@${w.server}`),
      asUserWidOrThrow: (w) => w,
      asUserLidOrThrow: (w) => w,
      toUserWidOrThrow: (w) => createWid(`${w.user}@${w.server}`),
      createDeviceWid: createWid,
      asGroupWidOrThrow: (w) => w,
      asChatWid: (w) => w,
      toChatWid: (w) => w,
    };
  });
  def('WAWebMsgKey', () => {
    const { createWid } = N('WAWebWidFactory');
    class MsgKey {
      constructor(o) {
        if (!o) throw new Error('MsgKey error: obj is null/undefined');
        if (o instanceof MsgKey) o = { ...o };
        const w = (x) => (x && typeof x === 'object' ? x : x ? createWid(x) : x);
        if (o.from !== undefined || o.selfDir !== undefined) {
          this.fromMe = o.selfDir ? o.selfDir === 'out' : false;
          this.remote = this.fromMe ? w(o.to) : w(o.from);
        } else {
          this.fromMe = o.fromMe;
          this.remote = w(o.remote);
        }
        this.id = o.id;
        if (o.participant) this.participant = w(o.participant);
        if (o.selfDir) this.self = o.selfDir;
        this._serialized = [String(!!this.fromMe), this.remote.toString(), this.id]
          .concat(this.participant ? [this.participant.toString()] : [])
          .join('_');
      }
      toString() {
        return this._serialized;
      }
      clone() {
        return new MsgKey(this);
      }
      equals(o) {
        return !!o && o.toString() === this._serialized;
      }
      static fromString(s) {
        const p = String(s).split('_');
        return new MsgKey({
          fromMe: p[0] === 'true',
          remote: createWid(p[1]),
          id: p[2],
          participant: p[3] ? createWid(p[3]) : undefined,
        });
      }
      static from(o) {
        return new MsgKey(o);
      }
      static async newId() {
        const b = crypto.getRandomValues(new Uint8Array(9));
        return (
          '3EB0' +
          [...b]
            .map((x) => x.toString(16).padStart(2, '0'))
            .join('')
            .toUpperCase()
        );
      }
      static newId_DEPRECATED() {
        return '3EB0' + Math.random().toString(16).slice(2).toUpperCase();
      }
      static displayName() {
        return 'MsgKey';
      }
    }
    return { default: MsgKey };
  });
})(self);
