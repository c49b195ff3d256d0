// The client as published, and one that also gets ready when the page has synced before the client listens.
'use strict';

const { Client } = require('whatsapp-web.js');

// Client is ready on `change:hasSynced` only, and never looks what it is: on a busy machine, where a page syncs faster than
// it is injected, it stays logged in and never ready.
class RepairedClient extends Client {
  async inject() {
    this.once('authenticated', () => { this.heardOfSync = true; });
    await super.inject();
    if (this.heardOfSync) return;
    await this.pupPage.evaluate(() => {
      if (window.require('WAWebSocketModel').Socket.hasSynced) window.onAppStateHasSyncedEvent();
    });
  }
}

module.exports = { Client, RepairedClient };
