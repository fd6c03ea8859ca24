/** Settings → the store of objects they choose. */

import { join } from 'node:path'
import type { Config } from '../../config/schema.ts'
import type { EpochMs } from '../../model/units.ts'
import { serviceSettings } from '../aws.ts'
import { openDiskStore, readDiskStore } from './disk.ts'
import type { ObjectReader, ObjectStore } from './object-store.ts'
import { bucketProblems, openS3Store, readS3Store, type S3Settings } from './s3.ts'

/** @throws ServiceError unavailable STORE_UNAVAILABLE · incorrect CONFIG_INVALID */
export function openObjects (config: Config, now: () => EpochMs): Promise<ObjectStore> {
  return config['archive.store'] === 'disk' ? openDiskStore({ folder: archiveFolderOf(config), now }) : openS3Store({ settings: s3Settings(config), now })
}

/** The same to be read alone, also beside a server or with a login that may only read. */
export async function openObjectReader (config: Config, now: () => EpochMs): Promise<ObjectReader> {
  return config['archive.store'] === 'disk' ? readDiskStore(archiveFolderOf(config)) : readS3Store({ settings: s3Settings(config), now })
}

/** Of the store on disk. */
export function archiveFolderOf (config: Config): string { return config['archive.folder'] || join(config.dataDir, 'archive') }

/** What keeps the bucket from serving, if one is set. */
export async function findObjectsProblems (config: Config, now: () => EpochMs): Promise<readonly string[]> {
  return config['archive.store'] === 'disk' ? [] : bucketProblems(s3Settings(config), now)
}

function s3Settings (config: Config): S3Settings {
  return {
    ...serviceSettings(config, 's3'), bucket: config['s3.bucket'], isPathStyle: config['s3.pathStyle'] === 'on', objectLock: config['s3.objectLock'], lockDays: config['s3.lockDays']
  }
}
