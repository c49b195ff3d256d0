// Media: preparing a file, uploading it, sending it.
(function (g) {
  'use strict';
  const core = g.__standin;
  const { def, N, model, unmodelled, cfg } = core;

  def('WAWebMediaOpaqueDataBase', () => {
    class OpaqueDataBase {
      retain() {}
      autorelease() {}
      autoreleaseWhenPromiseCompletes() {}
      throwIfReleased() {}
    }
    return { default: OpaqueDataBase };
  });
  def('WAWebMediaOpaqueData', () => {
    const Base = N('WAWebMediaOpaqueDataBase').default;
    class OpaqueData extends Base {
      constructor(content, mimetype) {
        super();
        this._blob = content instanceof Blob ? content : new Blob([content], { type: mimetype });
        this._mimetype = mimetype || this._blob.type;
      }
      size() {
        return this._blob.size;
      }
      type() {
        return this._mimetype;
      }
      forceToBlob() {
        return this._blob;
      }
      url() {
        return (this._url = this._url || URL.createObjectURL(this._blob));
      }
      formData() {
        return this._blob;
      }
      static async createFromData(content, mimetype) {
        return new OpaqueData(content, mimetype);
      }
      static async createFromBase64Jpeg(text) {
        const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
        return new OpaqueData(new Blob([bytes]), 'image/jpeg');
      }
    }
    return { default: OpaqueData };
  });
  const sha256 = async (blob) =>
    N('WABase64').encodeB64(await crypto.subtle.digest('SHA-256', await blob.arrayBuffer()));

  function messageType(mimetype, options) {
    if (options.asDocument) return 'document';
    if (options.asSticker) return 'sticker';
    const group = mimetype.split('/')[0];
    if (group === 'audio') return options.isPtt ? 'ptt' : 'audio';
    return ['image', 'video'].includes(group) ? group : 'document';
  }

  def('WAWebMediaDataModel', () => {
    const C = model('MediaData', [
      'type',
      'mimetype',
      'filehash',
      'size',
      'mediaBlob',
      'preview',
      'mediaStage',
      'isGif',
      'waveform',
      'renderableUrl',
      'clientUrl',
      'directPath',
      'mediaKey',
      'mediaKeyTimestamp',
      'encFilehash',
      'uploadhash',
      'streamingSidecar',
      'firstFrameSidecar',
      'mediaHandle',
      'deprecatedMms3Url',
      'caption',
      'isViewOnce',
    ]);
    C.prototype.toJSON = function () {
      const o = { ...this.attributes };
      delete o.mediaBlob;
      return o;
    };
    return { default: C };
  });
  // Prepared files by hash, until they are uploaded. A message may only name a file that was uploaded.
  const prepared = new Map();

  def('WAWebMediaPrep', () => {
    class MediaPrep {
      constructor(opaque, options) {
        this._ready = this._prepare(opaque, options);
        this._ready.catch(() => {}); // reported to whoever waits
      }
      async _prepare(opaque, options) {
        const type = messageType(opaque.type(), options);
        // The real page fails here too for a file it cannot take. Later would be too late: wa-js then waits for ever
        // for the message to appear in the chat.
        await core.messages.checkType(type);
        const blob = opaque.forceToBlob();
        if (cfg.prepMs) await new Promise((done) => setTimeout(done, cfg.prepMs));
        this._mediaData = new (N('WAWebMediaDataModel').default)({
          type,
          mimetype: opaque.type(),
          size: blob.size,
          mediaBlob: opaque,
          filehash: await sha256(blob),
          preview: undefined,
          mediaStage: 'PREPARED',
        });
        prepared.set(this._mediaData.filehash, blob);
        return this._mediaData;
      }
      waitForPrep() {
        return this._ready;
      }
      async sendToChat({ chat, options }) {
        const media = await this._ready;
        await upload(media.filehash);
        const [, result] = core.messages.send(chat, {
          ...options.productMsgOptions,
          caption: options.caption,
          type: media.type,
          mimetype: media.mimetype,
          filehash: media.filehash,
          directPath: '/v/t62/' + media.filehash,
          mediaData: media,
          body: undefined,
        });
        return result;
      }
    }
    return {
      MediaPrep,
      prepRawMedia: (opaque, options) => new MediaPrep(opaque, options || {}),
      uploadProductImage: async () => unmodelled('products')(),
    };
  });
  def('WAWebPrepRawMedia', () => ({
    prepRawMedia: (opaque, options) => N('WAWebMediaPrep').prepRawMedia(opaque, options),
  }));

  // The bytes travel inside the message frame; an upload makes them available to it, once.
  async function upload(filehash) {
    const blob = prepared.get(filehash);
    if (!blob) throw new Error('the file to upload was never prepared');
    core.messages.uploaded.set(filehash, N('WABase64').encodeB64(await blob.arrayBuffer()));
    prepared.delete(filehash);
  }

  def('WAWebMediaStorage', () => ({
    getOrCreateMediaObject: (filehash) => ({
      filehash,
      type: 'image',
      size: 0,
      contentInfo: {},
      consolidate(other) {
        Object.assign(this, other);
      },
    }),
  }));
  def('WAWebMmsMediaTypes', () => ({ msgToMediaType: ({ type }) => type, castToV4: (type) => type }));
  def('WAWebMediaDataUtils', () => ({ shouldUseMediaCache: () => false }));
  def('WAWebMediaInMemoryBlobCache', () => ({
    InMemoryMediaBlobCache: { put() {}, get() {} },
    InMemoryMediaBlobCacheImpl: class {},
  }));
  def('WAWebMediaMmsV4Upload', () => ({
    async uploadMedia({ mediaObject }) {
      await upload(mediaObject.filehash);
      return {
        mediaEntry: {
          mmsUrl: 'https://mmg.whatsapp.net/x',
          directPath: '/v/t62/' + mediaObject.filehash,
          mediaKey: 'a',
          mediaKeyTimestamp: Math.floor(Date.now() / 1000),
          encFilehash: 'b',
          uploadHash: 'c',
        },
      };
    },
    uploadUnencryptedMedia: async () => unmodelled('channels')(),
  }));
  def('WAMediaCalculateFilehash', () => ({
    getRandomFilehash: async () => unmodelled('channels')(),
    calculateFilehashFromBlob: sha256,
  }));
  def('WAWebMediaGatingUtils', () => ({ getUploadLimit: () => 64 * 1024 * 1024 }));
})(self);
