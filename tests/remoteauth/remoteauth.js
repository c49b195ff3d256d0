// Stores an existing profile in an S3 bucket as a Node service with whatsapp-web.js does: by the real RemoteAuth and
// the real AwsS3Store, without a browser.
//
//   node remoteauth.js DATA_DIR CLIENT_ID FOLDER
//
// The profile is DATA_DIR/RemoteAuth-CLIENT_ID and is left as it is; the object is FOLDER/RemoteAuth-CLIENT_ID.zip.
// Environment: S3_ENDPOINT, S3_ACCESS_KEY, S3_SECRET_KEY, S3_BUCKET. Prints the object's name.
'use strict';

const path = require('path');
const sdk = require('@aws-sdk/client-s3');
const { RemoteAuth } = require('whatsapp-web.js');
const { AwsS3Store } = require('wwebjs-aws-s3');

const [dataDir, clientId, folder] = process.argv.slice(2);
const { S3_ENDPOINT, S3_ACCESS_KEY, S3_SECRET_KEY, S3_BUCKET } = process.env;
if (!folder || !S3_ENDPOINT || !S3_ACCESS_KEY || !S3_SECRET_KEY || !S3_BUCKET) {
  console.error('usage: S3_ENDPOINT=... S3_ACCESS_KEY=... S3_SECRET_KEY=... S3_BUCKET=... node remoteauth.js DATA_DIR CLIENT_ID FOLDER');
  process.exit(64);
}

const s3Client = new sdk.S3Client({
  region: 'auto',
  endpoint: S3_ENDPOINT,
  forcePathStyle: true,
  credentials: { accessKeyId: S3_ACCESS_KEY, secretAccessKey: S3_SECRET_KEY },
  // R2 and its like do not take the SDK's own checksums.
  requestChecksumCalculation: 'WHEN_REQUIRED',
  responseChecksumValidation: 'WHEN_REQUIRED',
});
const store = new AwsS3Store({
  bucketName: S3_BUCKET,
  remoteDataPath: folder,
  s3Client,
  putObjectCommand: sdk.PutObjectCommand,
  headObjectCommand: sdk.HeadObjectCommand,
  getObjectCommand: sdk.GetObjectCommand,
  deleteObjectCommand: sdk.DeleteObjectCommand,
});

(async () => {
  const auth = new RemoteAuth({ clientId, dataPath: dataDir, store, backupSyncIntervalMs: 60_000 });
  let saved = false;
  auth.setup({ options: { puppeteer: {} }, emit: (event) => (saved ||= event === 'remote_session_saved') });
  // The store reads the zip from the working directory, RemoteAuth writes it to its data path.
  process.chdir(auth.dataPath);
  // What beforeBrowserInitialized() would set; that one deletes the local profile first.
  auth.sessionName = `RemoteAuth-${clientId}`;
  auth.userDataDir = path.join(auth.dataPath, auth.sessionName);
  await auth.storeRemoteSession({ emit: true });
  if (!saved) throw new Error(`nothing was stored: is there a profile at ${auth.userDataDir}?`);
  console.log(`${folder}/${auth.sessionName}.zip`);
})();
