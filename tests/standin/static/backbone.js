// Events, models and collections in the manner of Backbone: the ground the clients' own code stands on.
// `change:x` triggers with (model, value, previous) on the model and on every collection that holds it.
(function (g) {
  'use strict';
  const core = g.__standin;
  const { def, N } = core;

  def('WAWebEventEmitter', () => {
    class EventEmitter {
      _ev() {
        return (
          this.__ev ||
          (Object.defineProperty(this, '__ev', { value: new Map(), enumerable: false }), this.__ev)
        );
      }
      on(names, cb, ctx) {
        if (typeof cb !== 'function') throw new Error('Callback parameter passed is not a function');
        for (const n of String(names).split(/\s+/)) {
          const m = this._ev();
          if (!m.has(n)) m.set(n, []);
          m.get(n).push({ cb, ctx });
        }
        return this;
      }
      once(names, cb, ctx) {
        if (typeof cb !== 'function') throw new Error('Callback parameter passed is not a function');
        for (const n of String(names).split(/\s+/)) {
          const f = (...a) => {
            this.off(n, f);
            cb.apply(ctx || this, a);
          };
          f._o = cb;
          this.on(n, f);
        }
        return this;
      }
      off(names, cb) {
        if (!names) {
          this._ev().clear();
          return this;
        }
        for (const n of String(names).split(/\s+/)) {
          const l = this._ev().get(n);
          if (!l) continue;
          this._ev().set(n, cb ? l.filter((x) => x.cb !== cb && x.cb._o !== cb) : []);
        }
        return this;
      }
      removeListener(n, cb) {
        return this.off(n, cb);
      }
      addListener(n, cb) {
        return this.on(n, cb);
      }
      listenTo(o, n, cb) {
        o.on(n, cb, this);
        return this;
      }
      stopListening() {
        return this;
      }
      trigger(n, ...a) {
        for (const x of (this._ev().get(n) || []).slice()) {
          try {
            x.cb.apply(x.ctx || this, a);
          } catch (e) {
            console.error('[standin] listener', n, e);
          }
        }
        if (n !== 'all')
          for (const x of (this._ev().get('all') || []).slice()) {
            try {
              x.cb.call(x.ctx || this, n, ...a);
            } catch (e) {}
          }
        return this;
      }
      emit(n, ...a) {
        return this.trigger(n, ...a);
      }
    }
    return { default: EventEmitter };
  });

  def('WAWebBaseModel', () => {
    const EventEmitter = N('WAWebEventEmitter').default;
    class BaseModel extends EventEmitter {
      constructor(attrs = {}, opts = {}) {
        super();
        Object.defineProperty(this, '__a', { value: {}, enumerable: false });
        Object.defineProperty(this, 'collection', {
          value: opts.collection || null,
          writable: true,
          enumerable: false,
        });
        const d = this.constructor.defaults ? this.constructor.defaults() : {};
        Object.assign(this.__a, d);
        for (const k of Object.keys(attrs)) this.__a[k] = attrs[k];
        for (const k of Object.keys(this.__a)) this._acc(k);
        if (this.initialize) this.initialize(opts);
      }
      _acc(k) {
        if (k in this) return; // prototype accessor or method
        Object.defineProperty(this, k, {
          enumerable: true,
          configurable: true,
          get() {
            return this.__a[k];
          },
          set(v) {
            this._set(k, v);
          },
        });
      }
      _set(k, v) {
        const old = this.__a[k];
        if (old === v) return;
        this.__a[k] = v;
        this._acc(k);
        this._bubble('change:' + k, v, old);
        this._bubble('change');
      }
      _bubble(ev, ...a) {
        this.trigger(ev, this, ...a);
        for (const c of this.__cols || []) c.trigger(ev, this, ...a);
      }
      set(k, v) {
        if (typeof k === 'object') {
          for (const x of Object.keys(k)) this._set(x, k[x]);
        } else this._set(k, v);
        return this;
      }
      get(k) {
        return this.__a[k];
      }
      has(k) {
        return k in this.__a;
      }
      get attributes() {
        return this.__a;
      }
      serialize() {
        const o = {},
          E = N('WAWebEventEmitter').default;
        for (const k of Object.keys(this.__a)) {
          const v = this.__a[k];
          if (typeof v === 'function') continue;
          if (v instanceof E) {
            if (v.getModelsArray) o[k] = v.serialize();
            else if (k !== 'contact') continue;
            continue;
          }
          o[k] = v;
        }
        return o;
      }
      toJSON() {
        return this.serialize();
      }
      unsafe() {
        return this;
      }
      safe() {
        return this;
      }
      static define(proto, name, props) {
        Object.defineProperty(proto, 'proxyName', { value: name, configurable: true });
        Object.defineProperty(proto, '__props', { value: props || [], configurable: true });
        for (const k of props || [])
          Object.defineProperty(proto, k, {
            configurable: true,
            enumerable: true,
            get() {
              return this.__a ? this.__a[k] : undefined;
            },
            set(v) {
              this._set(k, v);
            },
          });
      }
    }
    return { BaseModel, defineModel: (c) => c };
  });

  def('WAWebBaseCollection', () => {
    const EventEmitter = N('WAWebEventEmitter').default;
    class Collection extends EventEmitter {
      constructor() {
        super();
        Object.defineProperty(this, '_models', { value: [], enumerable: false });
        Object.defineProperty(this, '_index', { value: {}, enumerable: false });
        if (!this.constructor.model && !this.constructor.anyModel) {
          /* Collection initialized without model */
        }
      }
      get modelClass() {
        return this.constructor.model;
      }
      _id(x) {
        if (x == null) return undefined;
        if (typeof x === 'object') {
          if (x._serialized) return x._serialized;
          if (x.id !== undefined) return this._id(x.id);
          return x.toString();
        }
        return String(x);
      }
      get(x) {
        return this._index[this._id(x)];
      }
      assertGet(x) {
        const m = this.get(x);
        if (!m) throw new Error('not found ' + x);
        return m;
      }
      add(m, opts = {}) {
        if (Array.isArray(m)) return m.map((x) => this.add(x, opts));
        const C = this.constructor.model;
        if (C && !(m instanceof C)) m = new C(m);
        const id = this._id(m);
        if (this._index[id]) return this._index[id];
        this._index[id] = m;
        this._models.push(m);
        if (!m.__cols) Object.defineProperty(m, '__cols', { value: [], enumerable: false });
        m.__cols.push(this);
        if (!opts.silent) this.trigger('add', m, this, opts);
        return m;
      }
      remove(m) {
        m = this.get(m);
        if (!m) return;
        delete this._index[this._id(m)];
        this._models.splice(this._models.indexOf(m), 1);
        m.__cols.splice(m.__cols.indexOf(this), 1);
        this.trigger('remove', m, this);
        return m;
      }
      reset() {
        this._models.length = 0;
        for (const k of Object.keys(this._index)) delete this._index[k];
        this.trigger('reset', this);
      }
      getModelsArray() {
        return this._models;
      }
      get models() {
        return this._models;
      }
      get length() {
        return this._models.length;
      }
      map(f) {
        return this._models.map(f);
      }
      filter(f) {
        return this._models.filter(f);
      }
      forEach(f) {
        return this._models.forEach(f);
      }
      some(f) {
        return this._models.some(f);
      }
      findFirst(f) {
        return this._models.find(f);
      }
      at(i) {
        return this._models[i];
      }
      last() {
        return this._models[this._models.length - 1];
      }
      head() {
        return this._models[0];
      }
      async find(id) {
        return this.get(id) || this.add(this.create ? this.create(id) : { id });
      }
      async update(id) {
        return this.find(id);
      }
      gadd(m) {
        return this.add(m);
      }
      serialize() {
        return this._models.map((m) => m.serialize());
      }
      [Symbol.iterator]() {
        return this._models[Symbol.iterator]();
      }
    }
    return { default: Collection, BaseCollection: Collection };
  });
})(self);
