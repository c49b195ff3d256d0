// A little DOM, as far as clients look at it: wppconnect reads the QR code off the screen.
(function (g) {
  'use strict';
  const core = g.__standin;
  const { encodeB64 } = core.N('WABase64');

  function element(tag, properties = {}, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }
  const show = (content) => document.querySelector('.app-wrapper-web').replaceChildren(content);

  // `data-ref` carries the whole text of the code, as on the real page.
  async function showQr(ref) {
    const keys = await core.keys();
    if (core.state.me) return;
    const parts = [ref, encodeB64(keys.noisePub), encodeB64(keys.identityPub), core.state.advSecret, '1'];
    const canvas = element('canvas', { width: 228, height: 228 });
    canvas.setAttribute('aria-label', 'Scan this QR code to link a device!');
    const code = element('div', {}, canvas);
    code.setAttribute('data-ref', ref ? parts.join(',') : '');
    show(element('div', { className: 'landing-wrapper' }, code));
  }

  function showMain() {
    if (document.querySelector('#side')) return;
    const side = element('div', { id: 'side' }, element('div', { id: 'pane-side' }));
    show(element('div', { className: 'app two', tabIndex: -1 }, side));
  }

  core.screens = { showQr, showMain };
})(self);
