// Who is logged in, and the public keys and secrets that a QR code is made of.
(function (g) {
  'use strict';
  const core = g.__standin;
  const { def, N, unmodelled } = core;

  def('WAWebUserPrefsMeUser', () => {
    const { createWid } = N('WAWebWidFactory');
    const me = () => (core.state.me ? createWid(core.state.me.jid) : undefined),
      lid = () => (core.state.me ? createWid(core.state.me.lid) : undefined);
    const thr = (f) => () => {
      const x = f();
      if (!x) throw new Error('not logged in');
      return x;
    };
    return {
      getMaybeMePnUser: me,
      getMaybeMeLidUser: lid,
      getMeUser: thr(me),
      getMePnUserOrThrow: thr(me),
      getMeLidUserOrThrow: thr(lid),
      getMaybeMeUser: me,
      getMe: me,
      getMeDevicePn: me,
      isMeAccount: (w) => !!w && [String(me()), String(lid())].includes(String(w)),
      isMeDevice: () => false,
      getMaybeMeDeviceLid: lid,
    };
  });
  def('WAWebUserPrefsMultiDevice', () => ({
    getADVSecretKey: () => core.state.advSecret,
    setADVSignedIdentity() {},
    generateADVSecretKey: () => core.state.advSecret,
    clearADVSecretKey() {},
  }));
  def('WAWebUserPrefsInfoStore', () => ({
    waNoiseInfo: {
      get: async () => ({
        staticKeyPair: { pubKey: (await core.keys()).noisePub.buffer, privKey: new ArrayBuffer(0) },
        recoveryToken: new ArrayBuffer(0),
      }),
    },
  }));
  def('WAWebSignalStoreApi', () => ({
    waSignalStore: {
      getRegistrationInfo: async () => {
        const k = await core.keys();
        return {
          registrationId: k.registrationId,
          identityKeyPair: { pubKey: k.identityPub.buffer, privKey: new ArrayBuffer(0) },
        };
      },
    },
  }));
  def('WAWebCompanionRegClientUtils', () => ({ DEVICE_PLATFORM: '1' }));
  def('WAWebAdvSignatureApi', () => ({
    verifyDeviceIdentityAccountSignature() {},
    generateDeviceSignature() {},
  }));
  def('WAWebUserPrefsGeneral', () => {
    const s = {};
    const o = {
      getTheme: () => localStorage.getItem('theme') || 'light',
      setTheme: (t) => localStorage.setItem('theme', t),
    };
    for (const k of ['Photos', 'Audio', 'Videos', 'Documents']) {
      o['getAutoDownload' + k] = () => !!s[k];
      o['setAutoDownload' + k] = (v) => {
        s[k] = v;
      };
    }
    return o;
  });
  def('WAWebUserPrefsUser', () => ({
    getPushname: () => (core.state.me ? core.state.me.pushname : undefined),
    setBrowserId() {},
    getUserPrivacySettings: () => ({ readReceipts: 'all' }),
  }));
  def('WAWebSetPushname', () => ({
    setPushname: async () => unmodelled('changing the profile name')(),
  }));
})(self);
