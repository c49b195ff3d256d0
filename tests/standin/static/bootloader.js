// A minimal look-alike of Meta's module runtime: __d, require, importNamespace, importDefault, ErrorGuard and the
// __debug.modulesMap in which wa-js looks for modules by shape.
(function (g) {
  'use strict';
  const modulesMap = Object.create(null);
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
        m.factory(g, requireModule, importDefault, importNamespace, requireLazy, module, module.exports);
      } catch (e) {
        m.ready = false;
        throw e;
      }
      m.exports = module.exports;
    }
    return m.exports;
  }
  // require() of a module whose only export is `default` yields the default itself (whatsapp-web.js relies on it);
  // importNamespace() always yields an object with `.default` (wa-js relies on that).
  function requireModule(id) {
    if (id === '__debug') return { modulesMap };
    const exports = load(id);
    const names = Object.keys(exports);
    return names.length === 1 && names[0] === 'default' ? exports.default : exports;
  }
  function importNamespace(id) {
    return load(id);
  }
  function importDefault(id) {
    const exports = load(id);
    return 'default' in exports ? exports.default : exports;
  }
  function requireLazy(ids, callback) {
    Promise.resolve().then(() => callback(...ids.map(requireModule)));
  }
  g.ErrorGuard = {
    skipGuardGlobal() {},
    applyWithGuard(call, context, values) {
      return call.apply(context, values || []);
    },
  };
  g.importNamespace = importNamespace;
  g.importDefault = importDefault;
  g.requireLazy = requireLazy;
  g.__d = define;
  g.require = requireModule;
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
