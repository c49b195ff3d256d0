// Minimal look-alike of Meta's module runtime: __d / require / importNamespace / importDefault / ErrorGuard / __debug.modulesMap
(function (g) {
  'use strict';
  const modulesMap = Object.create(null);
  const bootQueue = [];
  function define(id, deps, factory, flags) {
    if (modulesMap[id]) return;
    modulesMap[id] = { id, deps: deps || [], factory, flags: flags || 0, ready: false, exports: null };
  }
  function load(id) {
    const m = modulesMap[id];
    if (!m) throw new Error('Requiring unknown module "' + id + '"');
    if (!m.ready) {
      m.ready = true;
      const module = { exports: {} };
      try {
        m.factory.call(
          null,
          g,
          requireMod,
          importDefault,
          importNamespace,
          requireLazy,
          module,
          module.exports,
        );
      } catch (e) {
        m.ready = false;
        throw e;
      }
      m.exports = module.exports;
    }
    return m.exports;
  }
  // require() of an ES module whose only export is `default` yields the default itself (as `require('WAWebMsgKey')` does);
  // importNamespace() always yields an object with `.default`.
  function requireMod(id) {
    if (id === '__debug') return { modulesMap };
    const e = load(id);
    const ks = Object.keys(e);
    return ks.length === 1 && ks[0] === 'default' ? e.default : e;
  }
  function importNamespace(id) {
    return load(id);
  }
  function importDefault(id) {
    const e = load(id);
    return 'default' in e ? e.default : e;
  }
  function requireLazy(ids, cb) {
    Promise.resolve().then(() => cb(...ids.map(requireMod)));
  }
  g.ErrorGuard = {
    skipGuardGlobal() {},
    applyWithGuard(f, c, a) {
      return f.apply(c, a || []);
    },
  };
  g.importNamespace = importNamespace;
  g.importDefault = importDefault;
  g.requireLazy = requireLazy;
  g.__d = define;
  g.require = requireMod;
  define('Bootloader', [], function (_g, _r, _d, _n, _l, module) {
    module.exports = {
      default: {
        loadModules(names, cb) {
          setTimeout(cb, 0);
        },
        __debug: { componentMap: new Map() },
      },
    };
  });
})(self);
