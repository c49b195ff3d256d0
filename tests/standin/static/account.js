// Who is logged in, and the public keys and secrets that a QR code is made of.
(function (g) {
  'use strict';
  const core = g.__standin;
  const { def, N, unmodelled } = core;

  def('WAWebUserPrefsMeUser', () => {
    const { createWid } = N('WAWebWidFactory');
    const widOf = (field) => () => (core.state.me ? createWid(core.state.me[field]) : undefined);
    const [me, lid] = [widOf('jid'), widOf('lid')];
    const orThrow = (find) => () => {
      const found = find();
      if (!found) throw new Error('not logged in');
      return found;
    };
    return {
      getMaybeMePnUser: me,
      getMaybeMeLidUser: lid,
      getMeUser: orThrow(me),
      getMePnUserOrThrow: orThrow(me),
      getMeLidUserOrThrow: orThrow(lid),
      getMaybeMeUser: me,
      getMe: me,
      getMeDevicePn: me,
      isMeAccount: (wid) => !!wid && [String(me()), String(lid())].includes(String(wid)),
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
    const automatic = {};
    const preferences = {
      getTheme: () => localStorage.getItem('theme') || 'light',
      setTheme: (theme) => localStorage.setItem('theme', theme),
    };
    for (const kind of ['Photos', 'Audio', 'Videos', 'Documents']) {
      preferences['getAutoDownload' + kind] = () => !!automatic[kind];
      preferences['setAutoDownload' + kind] = (on) => {
        automatic[kind] = on;
      };
    }
    return preferences;
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
