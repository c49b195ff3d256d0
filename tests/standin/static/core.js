// What every other script builds on: the page's configuration, the log-in that Local Storage remembers, and the
// few functions with which modules are defined. Loaded second, after the module runtime.
(function (g) {
  'use strict';

  // Real log-in checks are synchronous, so the identity comes from Local Storage, not from IndexedDB.
  function rememberedIdentity() {
    try {
      const stored = (key) => JSON.parse(localStorage.getItem(key));
      const [user, device] = stored('last-wid-md').split('@')[0].split(':');
      return {
        jid: user + '@c.us',
        deviceId: Number(device),
        lid: stored('WALid'),
        pushname: stored('me-display-name'),
        platform: stored('mobile-platform'),
      };
    } catch (e) {
      return null; // nobody, or half an identity: the same to us
    }
  }

  const N = (id) => g.importNamespace(id);

  g.__standin = {
    cfg: JSON.parse(document.getElementById('standin-cfg').textContent),
    state: { me: rememberedIdentity() },
    N,

    // Defines a module whose exports are a plain mutable object: wa-js overwrites functions on it, so the page itself
    // must always call through the namespace.
    def(id, make) {
      const factory = (_global, _require, _default, namespace, _lazy, module) =>
        Object.assign(module.exports, make(namespace));
      g.__d(id, [], factory, 98);
    },

    // A model class; wa-js recognises it by the `proxyName` of its prototype.
    model(name, properties) {
      const { BaseModel } = N('WAWebBaseModel');
      const Model = { [name]: class extends BaseModel {} }[name];
      BaseModel.define(Model.prototype, name[0].toLowerCase() + name.slice(1), properties);
      return Model;
    },

    enumOf: (...names) => Object.fromEntries(names.map((name) => [name, name])),

    // The body of a call that exists on the real page but does nothing here: it fails instead of looking successful.
    unmodelled: (what) => () => {
      throw new Error(`the stand-in does not model ${what}`);
    },
  };
})(self);
