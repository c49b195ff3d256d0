// Connection state as the clients observe it: Conn, Socket, Stream, Cmd, the event bus, pairing-code linking.
(function (g) {
  'use strict';
  const core = g.__standin;
  const { def, N, model, unmodelled } = core;

  def('WAWebConnModel', () => {
    const ConnImpl = model('Conn', [
      'id',
      'ref',
      'refTTL',
      'wid',
      'connected',
      'platform',
      'pushname',
      'battery',
      'plugged',
      'lc',
      'lg',
      'isSMB',
      'phone',
    ]);
    return { Conn: new ConnImpl({ id: '1', ref: undefined, connected: false }), ConnImpl };
  });
  def('WAWebSocketModel', () => {
    const S = model('Socket', ['state', 'stream', 'hasSynced', 'canSend', 'launchGeneration']);
    Object.assign(S.prototype, {
      logout(_sendLogout, reason) {
        return core.session.logout(reason || 'user_initiated');
      },
      poke() {
        core.session.refreshQR();
      },
      takeover() {
        core.session.connect();
      },
      reconnect() {
        core.session.connect();
      },
      clearCredentialsAndStoredData() {
        return core.storage.wipe();
      },
    });
    return {
      Socket: new S({ state: 'UNLAUNCHED', stream: 'DISCONNECTED', hasSynced: false, canSend: false }),
    };
  });
  def('WAWebStreamModel', () => {
    const S = model('Stream', ['mode', 'info', 'needsUpdate', 'available', 'displayInfo', 'obscurity', 'uiActive']);
    Object.assign(S.prototype, {
      markAvailable() {
        this.available = true;
      },
      markUnavailable() {
        this.available = false;
      },
      unobscure() {},
      sendAvailability() {},
    });
    return { Stream: new S({ mode: undefined, info: 'OPENING', displayInfo: 'OPENING' }) };
  });
  def('WAWebNetworkStatus', () => {
    const S = model('NetworkStatus', ['online']);
    S.prototype.checkOnline = function () {
      return Promise.resolve(this.online);
    };
    return { default: new S({ online: true }) };
  });
  def('WAWebCmd', () => {
    const EventEmitter = N('WAWebEventEmitter').default;
    class CmdImpl extends EventEmitter {
      constructor() {
        super();
        this.isMainLoaded = false;
      }
      mainLoaded() {
        this.isMainLoaded = true;
        this.trigger('main_loaded');
      }
      refreshQR() {
        this.trigger('refresh_qr');
        core.session.refreshQR();
      }
      setActiveFilter(f, l) {
        this.trigger('set_active_filter', f, l);
      }
      async openChatBottom(o) {
        this.trigger('open_chat', (o && o.chat) || o);
        return true;
      }
      async openChatAt() {
        return true;
      }
      async openChatFromUnread() {
        return true;
      }
      archiveChat() {
        unmodelled('archiving chats')();
      }
      markChatUnread() {
        unmodelled('marking a chat as unread')();
      }
    }
    return { CmdImpl, Cmd: new CmdImpl() };
  });
  def('WAWebBackendEventBus', () => {
    const E = N('WAWebEventEmitter').default;
    class Bus extends E {}
    return {
      BackendEventBus: new Bus(),
      BackendEvent: {
        LOGOUT: 'logout',
        SET_SOCKET_STATE: 'set_socket_state',
        INITIAL_LOAD_READY: 'initial_load_ready',
        MAIN_STREAM_MODE_READY: 'main_stream_mode_ready',
        STORAGE_INITIALIZATION_ERROR: 'storage_initialization_error',
        OFFLINE_DELIVERY_END: 'offline_delivery_end',
      },
    };
  });
  def('WAWebLinkDeviceEvents', () => {
    const E = N('WAWebEventEmitter').default;
    class LinkDeviceEvents extends E {
      triggerRefreshAltLinkingCode() {
        this.trigger('link_device_events:refresh_alt_linking_code');
      }
    }
    return { WAWebLinkDeviceEvents: new LinkDeviceEvents() };
  });
  def('WAWebLaunchSocketUtils', () => ({ refreshQR: () => core.session.refreshQR() }));
  def('WAWebOfflineHandler', () => ({
    OfflineMessageHandler: { getOfflineDeliveryProgress: () => core.state.offlinePct || 0 },
  }));
  def('WAWebAltDeviceLinkingApi', () => ({
    setPairingType(t) {
      core.state.pairingType = t;
    },
    async initializeAltDeviceLinking() {},
    async initializeQRLinking() {},
    startAltLinkingFlow: (phone) => core.session.linkCode(phone),
    genLinkDeviceCodeForPhoneNumber: (phone) => core.session.linkCode(phone),
  }));
  def('WAWebAuthUtils', () => ({ isLoggedIn: () => !!core.state.me, isRegistered: () => !!core.state.me }));
})(self);
