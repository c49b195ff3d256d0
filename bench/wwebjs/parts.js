// What the three scripts share: the settings, the S3 store, RemoteAuth as published and repaired, one JSON line per event.
//
// SETTINGS is JSON: {dataPath, clients: [id, ...], s3: {endpoint, accessKey, secretKey, bucket, folder}, ...}.
'use strict';

const fs = require('fs');
const sdk = require('@aws-sdk/client-s3');
const unzipper = require('unzipper');
const { RemoteAuth } = require('whatsapp-web.js');
const { AwsS3Store } = require('wwebjs-aws-s3');

const settings = JSON.parse(process.env.SETTINGS);

// The store reads a zip from the working directory, RemoteAuth writes it to its data path.
process.chdir(settings.dataPath);

function openStore({ endpoint, accessKey, secretKey, bucket, folder }) {
  const s3Client = new sdk.S3Client({
    region: 'auto',
    endpoint,
    forcePathStyle: true,
    credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
    // R2 and its like do not take the SDK's own checksums.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
  return new AwsS3Store({
    bucketName: bucket,
    remoteDataPath: folder,
    s3Client,
    putObjectCommand: sdk.PutObjectCommand,
    headObjectCommand: sdk.HeadObjectCommand,
    getObjectCommand: sdk.GetObjectCommand,
    deleteObjectCommand: sdk.DeleteObjectCommand,
  });
}

// RemoteAuth resolves on 'finish', when the zip has been read; unzipper says 'close' when its files have been written.
class RepairedRemoteAuth extends RemoteAuth {
  async unCompressSession(zip) {
    await new Promise((resolve, reject) => {
      fs.createReadStream(zip)
        .pipe(unzipper.Extract({ path: this.userDataDir, concurrency: 10 }))
        .on('error', reject)
        .on('close', resolve);
    });
    await fs.promises.unlink(zip);
  }
}

// The longest interval of backups that setInterval takes, so that none falls into a measurement.
const strategy = (Strategy, clientId) =>
  new Strategy({
    clientId,
    dataPath: settings.dataPath,
    store: openStore(settings.s3),
    backupSyncIntervalMs: 2 ** 31 - 1,
  });

// A strategy for a profile that exists, without a client. beforeBrowserInitialized() would set these names, and delete it.
function offline(Strategy, clientId) {
  const auth = strategy(Strategy, clientId);
  auth.setup({ options: { puppeteer: {} }, emit: () => {} });
  auth.sessionName = `RemoteAuth-${clientId}`;
  auth.userDataDir = `${auth.dataPath}/${auth.sessionName}`;
  return auth;
}

const tell = (event, fields) => console.log(JSON.stringify({ event, ...fields }));

module.exports = { RemoteAuth, RepairedRemoteAuth, offline, settings, strategy, tell };
