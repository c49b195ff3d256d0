// Events, models and collections in the manner of Backbone: the ground the clients' own code stands on.
// `change:x` triggers with (model, value, previous) on the model and on every collection that holds it.
// wa-js finds these classes by texts inside them, so two sentences below must stay as they are.
(function (g) {
  'use strict';
  const core = g.__standin;
  const { def, N } = core;

  const hidden = (target, name, value) =>
    Object.defineProperty(target, name, { value, writable: true, configurable: true, enumerable: false });
  const words = (names) => String(names).split(/\s+/);

  def('WAWebEventEmitter', () => {
    class EventEmitter {
      _listenersOf(name) {
        if (!this.__listeners) hidden(this, '__listeners', new Map());
        if (!this.__listeners.has(name)) this.__listeners.set(name, []);
        return this.__listeners.get(name);
      }
      on(names, callback, context) {
        if (typeof callback !== 'function') throw new Error('Callback parameter passed is not a function');
        for (const name of words(names)) this._listenersOf(name).push({ callback, context });
        return this;
      }
      once(names, callback, context) {
        for (const name of words(names)) {
          const once = (...values) => {
            this.off(name, once);
            callback.apply(context || this, values);
          };
          once.wraps = callback;
          this.on(name, once);
        }
        return this;
      }
      off(names, callback) {
        if (!names) {
          hidden(this, '__listeners', new Map());
          return this;
        }
        for (const name of words(names)) {
          const kept = this._listenersOf(name).filter(
            (listener) => callback && listener.callback !== callback && listener.callback.wraps !== callback,
          );
          this.__listeners.set(name, kept);
        }
        return this;
      }
      addListener(name, callback) {
        return this.on(name, callback);
      }
      removeListener(name, callback) {
        return this.off(name, callback);
      }
      listenTo(other, name, callback) {
        other.on(name, callback, this);
        return this;
      }
      stopListening() {
        return this;
      }
      trigger(name, ...values) {
        this._call(name, values);
        if (name !== 'all') this._call('all', [name, ...values]);
        return this;
      }
      emit(name, ...values) {
        return this.trigger(name, ...values);
      }
      // One listener's error is reported and does not keep the others from hearing.
      _call(name, values) {
        for (const { callback, context } of [...this._listenersOf(name)]) {
          try {
            callback.apply(context || this, values);
          } catch (e) {
            console.error('[standin] listener', name, e);
          }
        }
      }
    }
    return { default: EventEmitter };
  });

  def('WAWebBaseModel', () => {
    const EventEmitter = N('WAWebEventEmitter').default;

    const accessor = (name) => ({
      enumerable: true,
      configurable: true, // wa-js redefines some
      get() {
        return this.__attributes && this.__attributes[name];
      },
      set(value) {
        this._change(name, value);
      },
    });

    class BaseModel extends EventEmitter {
      constructor(attributes = {}, options = {}) {
        super();
        hidden(this, '__attributes', {});
        hidden(this, '__collections', []);
        hidden(this, 'collection', options.collection || null);
        const defaults = this.constructor.defaults ? this.constructor.defaults() : {};
        for (const [name, value] of Object.entries({ ...defaults, ...attributes })) {
          this.__attributes[name] = value;
          this._expose(name);
        }
        if (this.initialize) this.initialize(options);
      }
      _expose(name) {
        if (!(name in this)) Object.defineProperty(this, name, accessor(name));
      }
      _change(name, value) {
        const previous = this.__attributes[name];
        if (previous === value) return;
        this.__attributes[name] = value;
        this._expose(name);
        this._bubble('change:' + name, value, previous);
        this._bubble('change');
      }
      _bubble(event, ...values) {
        for (const hearer of [this, ...this.__collections]) hearer.trigger(event, this, ...values);
      }
      set(name, value) {
        const changes = typeof name === 'object' ? name : { [name]: value };
        for (const key of Object.keys(changes)) this._change(key, changes[key]);
        return this;
      }
      get(name) {
        return this.__attributes[name];
      }
      has(name) {
        return name in this.__attributes;
      }
      get attributes() {
        return this.__attributes;
      }
      // Plain values and collections; other models are left out, they point back.
      serialize() {
        const plain = {};
        for (const [name, value] of Object.entries(this.__attributes)) {
          if (typeof value === 'function') continue;
          if (!(value instanceof EventEmitter)) plain[name] = value;
          else if (value.getModelsArray) plain[name] = value.serialize();
        }
        return plain;
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
      static define(prototype, name, properties = []) {
        hidden(prototype, 'proxyName', name);
        hidden(prototype, '__props', properties);
        for (const property of properties) Object.defineProperty(prototype, property, accessor(property));
      }
    }
    return { BaseModel, defineModel: (Model) => Model };
  });

  def('WAWebBaseCollection', () => {
    const EventEmitter = N('WAWebEventEmitter').default;

    function keyOf(thing) {
      if (thing == null) return undefined;
      if (typeof thing !== 'object') return String(thing);
      if (thing._serialized) return thing._serialized;
      return thing.id === undefined ? thing.toString() : keyOf(thing.id);
    }

    class Collection extends EventEmitter {
      constructor() {
        /* Collection initialized without model */
        super();
        hidden(this, '_models', []);
        hidden(this, '_index', {});
      }
      get modelClass() {
        return this.constructor.model;
      }
      get models() {
        return this._models;
      }
      get length() {
        return this._models.length;
      }
      getModelsArray() {
        return this._models;
      }
      get(thing) {
        return this._index[keyOf(thing)];
      }
      assertGet(thing) {
        const model = this.get(thing);
        if (!model) throw new Error('not found ' + thing);
        return model;
      }
      add(thing, options = {}) {
        if (Array.isArray(thing)) return thing.map((one) => this.add(one, options));
        const known = this.get(thing);
        if (known) return known;
        const Model = this.constructor.model || N('WAWebBaseModel').BaseModel;
        const model = thing instanceof Model ? thing : new Model(thing);
        this._index[keyOf(model)] = model;
        this._models.push(model);
        model.__collections.push(this);
        if (!options.silent) this.trigger('add', model, this, options);
        return model;
      }
      remove(thing) {
        const model = this.get(thing);
        if (!model) return undefined;
        delete this._index[keyOf(model)];
        this._models.splice(this._models.indexOf(model), 1);
        model.__collections.splice(model.__collections.indexOf(this), 1);
        this.trigger('remove', model, this);
        return model;
      }
      reset() {
        for (const model of [...this._models]) this.remove(model);
        this.trigger('reset', this);
      }
      async find(id) {
        return this.get(id) || this.add(this.create ? this.create(id) : { id });
      }
      async update(id) {
        return this.find(id);
      }
      gadd(thing) {
        return this.add(thing);
      }
      map(visit) {
        return this._models.map(visit);
      }
      filter(accept) {
        return this._models.filter(accept);
      }
      forEach(visit) {
        return this._models.forEach(visit);
      }
      some(accept) {
        return this._models.some(accept);
      }
      findFirst(accept) {
        return this._models.find(accept);
      }
      at(position) {
        return this._models[position];
      }
      head() {
        return this._models[0];
      }
      last() {
        return this._models[this._models.length - 1];
      }
      serialize() {
        return this._models.map((model) => model.serialize());
      }
      [Symbol.iterator]() {
        return this._models[Symbol.iterator]();
      }
    }
    return { default: Collection, BaseCollection: Collection };
  });
})(self);
