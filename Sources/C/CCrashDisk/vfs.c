// SQLite's view of the disk: files, locks, shared memory (sqlite.org/vfs.html).
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "disk.h"

typedef struct {
  sqlite3_file base;
  crash_disk *disk;
  const boot *boot;
  node *file;
  int flags, level;
  bool syncs_directory;  // with its first sync, as SQLite's VFS for Unix does for journals and logs
  unsigned shm_shared, shm_exclusive;  // bits of the locks that this handle holds
} handle;

static handle *of(sqlite3_file *file) { return (handle *)file; }

// The lock is taken by enter and given back by leave, whatever enter says.
static bool enter(handle *h) {
  pthread_mutex_lock(&h->disk->lock);
  return !h->disk->is_off && h->disk->boots == h->boot;
}

static int leave(handle *h, int status) {
  pthread_mutex_unlock(&h->disk->lock);
  return status;
}

// Counts an operation that has been done; the disk may go off in it.
static int operated(handle *h, int status) {
  if (h->file->name && disk_operates(h->disk)) {
    disk_crash(h->disk);
    return SQLITE_IOERR;
  }
  return status;
}

static int file_read(sqlite3_file *file, void *bytes, int count, sqlite3_int64 offset) {
  handle *h = of(file);
  if (!enter(h)) return leave(h, SQLITE_IOERR_READ);
  if (h->file->name && disk_fails(h->disk, CRASH_READ_ERROR)) return leave(h, SQLITE_IOERR_READ);
  int64_t there = h->file->now.size - offset;
  if (there >= count) {
    memcpy(bytes, h->file->now.bytes + offset, (size_t)count);
    return leave(h, SQLITE_OK);
  }
  memset(bytes, 0, (size_t)count);
  if (there > 0) memcpy(bytes, h->file->now.bytes + offset, (size_t)there);
  return leave(h, SQLITE_IOERR_SHORT_READ);
}

static int file_write(sqlite3_file *file, const void *bytes, int count, sqlite3_int64 offset) {
  handle *h = of(file);
  if (!enter(h)) return leave(h, SQLITE_IOERR_WRITE);
  return leave(h, operated(h, disk_write(h->disk, h->file, bytes, count, offset)));
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size) {
  handle *h = of(file);
  if (!enter(h)) return leave(h, SQLITE_IOERR_TRUNCATE);
  return leave(h, operated(h, disk_truncate(h->disk, h->file, size)));
}

static void count_sync(handle *h) {
  crash_counts *counts = &h->disk->counts;
  if (h->flags & SQLITE_OPEN_WAL) counts->log_syncs += 1;
  else if (h->flags & SQLITE_OPEN_MAIN_JOURNAL) counts->journal_syncs += 1;
  else counts->main_syncs += 1;
}

static int file_sync(sqlite3_file *file, int flags) {
  (void)flags;
  handle *h = of(file);
  if (!enter(h)) return leave(h, SQLITE_IOERR_FSYNC);
  if (!h->file->name) return leave(h, SQLITE_OK);
  int64_t pause = h->disk->sync_microseconds;
  if (pause > 0) {
    // Others may use the disk meanwhile.
    leave(h, SQLITE_OK);
    usleep((useconds_t)pause);
    if (!enter(h)) return leave(h, SQLITE_IOERR_FSYNC);
  }
  count_sync(h);
  if (disk_fails(h->disk, CRASH_SYNC_ERROR)) {
    for (change *each = h->file->first; each; each = each->next) each->is_lost = true;
    return leave(h, SQLITE_IOERR_FSYNC);
  }
  // A crash in a sync comes before it has done anything, or before anybody hears that it has.
  bool is_last = h->disk->crash_after == 0;
  if (!is_last || disk_random(h->disk) % 2) {
    disk_sync(h->file);
    if (h->syncs_directory) disk_sync_names(h->disk);
    h->syncs_directory = false;
  }
  return leave(h, operated(h, SQLITE_OK));
}

static int file_size(sqlite3_file *file, sqlite3_int64 *size) {
  handle *h = of(file);
  if (!enter(h)) return leave(h, SQLITE_IOERR_FSTAT);
  *size = h->file->now.size;
  return leave(h, SQLITE_OK);
}

static int file_lock(sqlite3_file *file, int level) {
  handle *h = of(file);
  if (!enter(h)) return leave(h, SQLITE_IOERR_LOCK);
  node *n = h->file;
  if (level <= h->level) return leave(h, SQLITE_OK);
  if (level == SQLITE_LOCK_SHARED) {
    if ((n->pending && n->pending != h) || n->exclusive) return leave(h, SQLITE_BUSY);
    n->shared += 1;
    h->level = SQLITE_LOCK_SHARED;
    return leave(h, SQLITE_OK);
  }
  if (level == SQLITE_LOCK_RESERVED) {
    if (n->reserved || n->pending) return leave(h, SQLITE_BUSY);
    n->reserved = h;
    h->level = SQLITE_LOCK_RESERVED;
    return leave(h, SQLITE_OK);
  }
  // To roll a hot journal back SQLite goes from SHARED to EXCLUSIVE at once.
  if ((n->reserved && n->reserved != h) || (n->pending && n->pending != h))
    return leave(h, SQLITE_BUSY);
  n->pending = h;
  h->level = SQLITE_LOCK_PENDING;
  if (n->shared > 1) return leave(h, SQLITE_BUSY);
  n->exclusive = h;
  h->level = SQLITE_LOCK_EXCLUSIVE;
  return leave(h, SQLITE_OK);
}

static void unlock(handle *h, int level) {
  node *n = h->file;
  if (h->level > SQLITE_LOCK_SHARED) {
    if (n->reserved == h) n->reserved = NULL;
    if (n->pending == h) n->pending = NULL;
    if (n->exclusive == h) n->exclusive = NULL;
  }
  if (level == SQLITE_LOCK_NONE && h->level >= SQLITE_LOCK_SHARED) n->shared -= 1;
  if (level < h->level) h->level = level;
}

static int file_unlock(sqlite3_file *file, int level) {
  handle *h = of(file);
  if (enter(h)) unlock(h, level);
  return leave(h, SQLITE_OK);
}

static int file_check_reserved(sqlite3_file *file, int *result) {
  handle *h = of(file);
  *result = enter(h) && (h->file->reserved || h->file->pending);
  return leave(h, SQLITE_OK);
}

static int file_control(sqlite3_file *file, int operation, void *argument) {
  (void)file, (void)operation, (void)argument;
  return SQLITE_NOTFOUND;
}

static int file_sector(sqlite3_file *file) {
  (void)file;
  return 4096;
}

static int file_characteristics(sqlite3_file *file) {
  (void)file;
  return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static int file_shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **at) {
  handle *h = of(file);
  *at = NULL;
  if (!enter(h)) return leave(h, SQLITE_IOERR_SHMMAP);
  if (region >= SHM_REGIONS) return leave(h, SQLITE_IOERR_SHMSIZE);
  if (!h->file->regions[region] && extend) h->file->regions[region] = calloc(1, (size_t)size);
  *at = h->file->regions[region];
  return leave(h, *at || !extend ? SQLITE_OK : SQLITE_IOERR_NOMEM);
}

static int shm_try(handle *h, int offset, int count, int flags) {
  node *n = h->file;
  for (int slot = offset; slot < offset + count; slot++) {
    unsigned bit = 1u << slot;
    if (flags & SQLITE_SHM_UNLOCK) continue;
    if (n->shm_exclusive[slot] && n->shm_exclusive[slot] != h) return SQLITE_BUSY;
    if (flags & SQLITE_SHM_EXCLUSIVE && n->shm_shared[slot] > ((h->shm_shared & bit) ? 1 : 0))
      return SQLITE_BUSY;
  }
  for (int slot = offset; slot < offset + count; slot++) {
    unsigned bit = 1u << slot;
    if (flags & SQLITE_SHM_UNLOCK) {
      if (h->shm_shared & bit) n->shm_shared[slot] -= 1;
      if (h->shm_exclusive & bit) n->shm_exclusive[slot] = NULL;
      h->shm_shared &= ~bit;
      h->shm_exclusive &= ~bit;
    } else if (flags & SQLITE_SHM_SHARED) {
      if (!(h->shm_shared & bit)) n->shm_shared[slot] += 1;
      h->shm_shared |= bit;
    } else {
      n->shm_exclusive[slot] = h;
      h->shm_exclusive |= bit;
    }
  }
  return SQLITE_OK;
}

static int file_shm_lock(sqlite3_file *file, int offset, int count, int flags) {
  handle *h = of(file);
  if (!enter(h)) return leave(h, SQLITE_IOERR_SHMLOCK);
  return leave(h, shm_try(h, offset, count, flags));
}

static void file_shm_barrier(sqlite3_file *file) {
  handle *h = of(file);
  enter(h);
  leave(h, SQLITE_OK);
}

static int file_shm_unmap(sqlite3_file *file, int delete) {
  handle *h = of(file);
  if (enter(h)) {
    shm_try(h, 0, SHM_LOCKS, SQLITE_SHM_UNLOCK);
    if (delete) disk_forget_shm(h->disk, h->file);
  }
  return leave(h, SQLITE_OK);
}

static int file_close(sqlite3_file *file) {
  handle *h = of(file);
  if (enter(h)) {
    shm_try(h, 0, SHM_LOCKS, SQLITE_SHM_UNLOCK);
    unlock(h, SQLITE_LOCK_NONE);
  }
  h->disk->handles -= 1;
  disk_release(h->disk);
  return leave(h, SQLITE_OK);
}

static const sqlite3_io_methods methods = {
    2, file_close, file_read, file_write, file_truncate, file_sync, file_size, file_lock,
    file_unlock, file_check_reserved, file_control, file_sector, file_characteristics,
    file_shm_map, file_shm_lock, file_shm_barrier, file_shm_unmap, NULL, NULL};

static bool is_current(const boot *boot) {
  return !boot->disk->is_off && boot->disk->boots == boot;
}

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out) {
  const boot *boot = vfs->pAppData;
  crash_disk *disk = boot->disk;
  memset(file, 0, sizeof(handle));
  pthread_mutex_lock(&disk->lock);
  node *found = NULL;
  if (is_current(boot)) found = disk_find(disk, name, true);
  if (found && name && !found->exists && !(flags & SQLITE_OPEN_CREATE)) found = NULL;
  if (!found) {
    pthread_mutex_unlock(&disk->lock);
    return SQLITE_CANTOPEN;
  }
  if (!found->exists) disk_make(found);
  disk->handles += 1;
  *(handle *)file = (handle){
      .base.pMethods = &methods, .disk = disk, .boot = boot, .file = found, .flags = flags};
  int kinds = SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL;
  ((handle *)file)->syncs_directory = (flags & SQLITE_OPEN_CREATE) && (flags & kinds);
  if (out) *out = flags;
  pthread_mutex_unlock(&disk->lock);
  return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync) {
  const boot *boot = vfs->pAppData;
  crash_disk *disk = boot->disk;
  pthread_mutex_lock(&disk->lock);
  node *found = is_current(boot) ? disk_find(disk, name, false) : NULL;
  int status = SQLITE_OK;
  if (!is_current(boot)) status = SQLITE_IOERR_DELETE;
  else if (!found || !found->exists) status = SQLITE_IOERR_DELETE_NOENT;
  if (status == SQLITE_OK) {
    found->exists = false;
    disk_truncate(disk, found, 0);
    if (sync) disk_sync_names(disk);
    if (disk_operates(disk)) {
      disk_crash(disk);
      status = SQLITE_IOERR_DELETE;
    }
  }
  pthread_mutex_unlock(&disk->lock);
  return status;
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *result) {
  const boot *boot = vfs->pAppData;
  pthread_mutex_lock(&boot->disk->lock);
  bool is_on = is_current(boot);
  node *found = is_on ? disk_find(boot->disk, name, false) : NULL;
  // An empty file counts as none, as SQLite's own VFS for Unix has it.
  *result = found && found->exists && (found->now.size > 0 || flags != SQLITE_ACCESS_EXISTS);
  pthread_mutex_unlock(&boot->disk->lock);
  return is_on ? SQLITE_OK : SQLITE_IOERR_ACCESS;
}

static int vfs_path(sqlite3_vfs *vfs, const char *name, int count, char *out) {
  (void)vfs;
  if ((int)strlen(name) >= count) return SQLITE_CANTOPEN;
  strcpy(out, name);
  return SQLITE_OK;
}

// Seeded: the salts of the write-ahead log repeat with the seed.
static int vfs_randomness(sqlite3_vfs *vfs, int count, char *out) {
  const boot *boot = vfs->pAppData;
  pthread_mutex_lock(&boot->disk->lock);
  for (int place = 0; place < count; place++) out[place] = (char)disk_random(boot->disk);
  pthread_mutex_unlock(&boot->disk->lock);
  return count;
}

static int vfs_sleep(sqlite3_vfs *vfs, int microseconds) {
  (void)vfs;
  usleep((useconds_t)microseconds);
  return microseconds;
}

static int vfs_time(sqlite3_vfs *vfs, double *now) {
  (void)vfs;
  *now = 2460000.5;  // any fixed day: no test asks SQLite for the time
  return SQLITE_OK;
}

static int vfs_error(sqlite3_vfs *vfs, int count, char *out) {
  (void)vfs;
  if (count > 0) *out = 0;
  return 0;
}

const sqlite3_vfs crash_vfs = {
    .iVersion = 1, .szOsFile = sizeof(handle), .mxPathname = 512, .xOpen = vfs_open,
    .xDelete = vfs_delete, .xAccess = vfs_access, .xFullPathname = vfs_path,
    .xRandomness = vfs_randomness, .xSleep = vfs_sleep, .xCurrentTime = vfs_time,
    .xGetLastError = vfs_error};
