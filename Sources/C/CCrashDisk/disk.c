// What the disk holds, and what a crash leaves of it.
#include "disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SECTOR = 512 };

static int64_t next_id;

// SplitMix64 (Steele, Lea, Flood 2014).
uint64_t disk_random(crash_disk *disk) {
  uint64_t z = (disk->random += 0x9E3779B97F4A7C15u);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

static bool chance(crash_disk *disk, unsigned percent) {
  return disk_random(disk) % 100 < percent;
}

static bool reserve(buffer *buffer, int64_t size) {
  if (size <= buffer->room) return true;
  int64_t room = size + size / 2 + 4096;
  unsigned char *bytes = realloc(buffer->bytes, (size_t)room);
  if (!bytes) return false;
  buffer->bytes = bytes;
  buffer->room = room;
  return true;
}

// Sets the length; what is new is zero.
static bool resize(buffer *buffer, int64_t size) {
  if (!reserve(buffer, size)) return false;
  if (size > buffer->size) memset(buffer->bytes + buffer->size, 0, (size_t)(size - buffer->size));
  buffer->size = size;
  return true;
}

static bool put(buffer *buffer, const unsigned char *bytes, int64_t count, int64_t offset) {
  if (offset + count > buffer->size && !resize(buffer, offset + count)) return false;
  if (count > 0) memcpy(buffer->bytes + offset, bytes, (size_t)count);
  return true;
}

node *disk_find(crash_disk *disk, const char *name, bool create) {
  for (node *file = disk->nodes; file; file = file->next)
    if (file->name && name && strcmp(file->name, name) == 0) return file;
  if (!create) return NULL;
  node *file = calloc(1, sizeof *file);
  if (!file) return NULL;
  if (name && !(file->name = strdup(name))) {
    free(file);
    return NULL;
  }
  file->next = disk->nodes;
  disk->nodes = file;
  return file;
}

bool disk_fails(crash_disk *disk, crash_fault fault) {
  if (disk->faults[fault].times == 0) return false;
  if (disk->faults[fault].after > 0) {
    disk->faults[fault].after -= 1;
    return false;
  }
  if (disk->faults[fault].times > 0) disk->faults[fault].times -= 1;
  return true;
}

bool disk_operates(crash_disk *disk) {
  disk->counts.operations += 1;
  if (disk->crash_after < 0) return false;
  disk->crash_after -= 1;
  return disk->crash_after < 0;
}

static bool append(node *file, const void *bytes, int64_t count, int64_t offset) {
  size_t room = count > 0 ? (size_t)count : 0;
  change *fresh = malloc(sizeof *fresh + room);
  if (!fresh) return false;
  *fresh = (change){.offset = offset, .count = count};
  if (room) memcpy(fresh->bytes, bytes, room);
  if (file->last) file->last->next = fresh;
  else file->first = fresh;
  file->last = fresh;
  return true;
}

int disk_write(crash_disk *disk, node *file, const void *bytes, int64_t count, int64_t offset) {
  if (!file->name) return put(&file->now, bytes, count, offset) ? SQLITE_OK : SQLITE_IOERR_NOMEM;
  disk->counts.writes += 1;
  disk->counts.bytes += count;
  int64_t growth = offset + count - file->now.size;
  if (disk->capacity > 0 && growth > 0 && disk_total(disk) + growth > disk->capacity)
    return SQLITE_FULL;
  bool is_short = disk_fails(disk, CRASH_WRITE_SHORT);
  bool is_error = disk_fails(disk, CRASH_WRITE_ERROR);
  if (disk_fails(disk, CRASH_WRITE_FULL)) return SQLITE_FULL;
  int64_t done = is_short || is_error ? count / 2 : count;
  if (done > 0 && (!append(file, bytes, done, offset) || !put(&file->now, bytes, done, offset)))
    return SQLITE_IOERR_NOMEM;
  return is_error ? SQLITE_IOERR_WRITE : is_short ? SQLITE_FULL : SQLITE_OK;
}

int disk_truncate(crash_disk *disk, node *file, int64_t size) {
  if (file->name && disk_fails(disk, CRASH_TRUNCATE_ERROR)) return SQLITE_IOERR_TRUNCATE;
  if (file->name && !append(file, NULL, -1, size)) return SQLITE_IOERR_NOMEM;
  return resize(&file->now, size) ? SQLITE_OK : SQLITE_IOERR_NOMEM;
}

static void apply(node *file, const change *change) {
  if (change->count < 0) resize(&file->durable, change->offset);
  else put(&file->durable, change->bytes, change->count, change->offset);
}

static void clear(node *file) {
  while (file->first) {
    change *next = file->first->next;
    free(file->first);
    file->first = next;
  }
  file->last = NULL;
}

// A file of the same name after a deletion is another file: nothing of the old one may shine through.
void disk_make(node *file) {
  clear(file);
  file->now.size = file->durable.size = 0;
  file->exists = true;
  file->is_durable = false;
}

void disk_sync(node *file) {
  for (change *each = file->first; each; each = each->next)
    if (!each->is_lost) apply(file, each);
  clear(file);
  file->is_durable = file->exists;
}

// What was made is there after a crash, what was deleted is gone.
void disk_sync_names(crash_disk *disk) {
  disk->counts.directory_syncs += 1;
  for (node *file = disk->nodes; file; file = file->next) {
    file->is_durable = file->exists;
    if (file->exists) continue;
    clear(file);
    file->durable.size = 0;
  }
}

// Some sectors of a write arrive, some do not, some are garbage. Nothing outside of it is touched: SQLite counts on
// that too (SQLITE_IOCAP_POWERSAFE_OVERWRITE, as its own VFS for Unix does).
static void tear(crash_disk *disk, node *file, const change *torn) {
  int64_t end = torn->offset + torn->count;
  for (int64_t from = torn->offset; from < end;) {
    int64_t to = (from / SECTOR + 1) * SECTOR;
    if (to > end) to = end;
    uint64_t roll = disk_random(disk) % 100;
    if (roll < 50) {
      put(&file->durable, torn->bytes + (from - torn->offset), to - from, from);
    } else if (roll < 65) {
      unsigned char garbage[SECTOR];
      for (int64_t place = 0; place < to - from; place++)
        garbage[place] = (unsigned char)disk_random(disk);
      put(&file->durable, garbage, to - from, from);
    }
    from = to;
  }
}

static void settle(crash_disk *disk, node *file, unsigned kept, unsigned torn) {
  for (change *each = file->first; each; each = each->next) {
    unsigned roll = (unsigned)(disk_random(disk) % 100);
    if (roll < kept) apply(file, each);
    else if (roll < kept + torn && each->count > 0) tear(disk, file, each);
  }
  clear(file);
  if (file->exists != file->is_durable && chance(disk, 50)) file->is_durable = file->exists;
  file->exists = file->is_durable;
  if (!file->exists) file->durable.size = 0;
  file->now.size = 0;
  put(&file->now, file->durable.bytes, file->durable.size, 0);
}

void disk_crash(crash_disk *disk) {
  if (disk->is_off) return;
  disk->is_off = true;
  disk->crash_after = -1;
  memset(disk->faults, 0, sizeof disk->faults);
  // Nothing kept, everything kept, or a part: each of them has found its own faults elsewhere.
  static const unsigned kinds[][2] = {{0, 0}, {100, 0}, {40, 30}, {80, 15}, {10, 10}, {0, 100}};
  const unsigned *kind = kinds[disk_random(disk) % (sizeof kinds / sizeof *kinds)];
  for (node *file = disk->nodes; file; file = file->next) {
    if (file->name) settle(disk, file, kind[0], kind[1]);
    file->shared = 0;
    file->reserved = file->pending = file->exclusive = NULL;
    memset(file->shm_shared, 0, sizeof file->shm_shared);
    memset(file->shm_exclusive, 0, sizeof file->shm_exclusive);
    disk_forget_shm(disk, file);
  }
}

void disk_forget_shm(crash_disk *disk, node *file) {
  for (int place = 0; place < SHM_REGIONS; place++) {
    if (!file->regions[place]) continue;
    scrap *fresh = malloc(sizeof *fresh);
    if (fresh) {
      *fresh = (scrap){.next = disk->scraps, .memory = file->regions[place]};
      disk->scraps = fresh;
    }
    file->regions[place] = NULL;
  }
}

int64_t disk_total(const crash_disk *disk) {
  int64_t total = 0;
  for (node *file = disk->nodes; file; file = file->next)
    if (file->name && file->exists) total += file->now.size;
  return total;
}

// Gives back what a freed disk had, once nobody has a file of it open. The struct and its VFS stay: a connection
// that closes last may still name them.
void disk_release(crash_disk *disk) {
  if (!disk->is_freed || disk->handles > 0) return;
  while (disk->nodes) {
    node *next = disk->nodes->next;
    clear(disk->nodes);
    for (int place = 0; place < SHM_REGIONS; place++) free(disk->nodes->regions[place]);
    free(disk->nodes->now.bytes);
    free(disk->nodes->durable.bytes);
    free(disk->nodes->name);
    free(disk->nodes);
    disk->nodes = next;
  }
  while (disk->scraps) {
    scrap *next = disk->scraps->next;
    free(disk->scraps->memory);
    free(disk->scraps);
    disk->scraps = next;
  }
}

crash_disk *crash_disk_create(uint64_t seed) {
  crash_disk *disk = calloc(1, sizeof *disk);
  if (!disk) return NULL;
  pthread_mutex_init(&disk->lock, NULL);
  disk->random = seed;
  disk->id = __atomic_add_fetch(&next_id, 1, __ATOMIC_RELAXED);
  disk->is_off = true;
  disk->crash_after = -1;
  return disk;
}

const char *crash_disk_boot(crash_disk *disk) {
  boot *fresh = calloc(1, sizeof *fresh);
  if (!fresh) return NULL;
  crash_disk_crash(disk);
  pthread_mutex_lock(&disk->lock);
  boot *before = disk->boots;
  fresh->vfs = crash_vfs;
  fresh->disk = disk;
  fresh->next = before;
  snprintf(fresh->name, sizeof fresh->name, "crash-%lld-%llx", (long long)disk->id,
           (unsigned long long)disk_random(disk));
  fresh->vfs.zName = fresh->name;
  fresh->vfs.pAppData = fresh;
  disk->boots = fresh;
  disk->is_off = false;
  pthread_mutex_unlock(&disk->lock);
  if (before) sqlite3_vfs_unregister(&before->vfs);
  return sqlite3_vfs_register(&fresh->vfs, 0) == SQLITE_OK ? fresh->name : NULL;
}

void crash_disk_crash_after(crash_disk *disk, int64_t operations) {
  pthread_mutex_lock(&disk->lock);
  disk->crash_after = operations;
  pthread_mutex_unlock(&disk->lock);
}

void crash_disk_crash(crash_disk *disk) {
  pthread_mutex_lock(&disk->lock);
  disk_crash(disk);
  pthread_mutex_unlock(&disk->lock);
}

bool crash_disk_is_off(crash_disk *disk) {
  pthread_mutex_lock(&disk->lock);
  bool is_off = disk->is_off;
  pthread_mutex_unlock(&disk->lock);
  return is_off;
}

void crash_disk_fail(crash_disk *disk, crash_fault fault, int64_t after, int64_t times) {
  pthread_mutex_lock(&disk->lock);
  disk->faults[fault].after = after;
  disk->faults[fault].times = times;
  pthread_mutex_unlock(&disk->lock);
}

void crash_disk_capacity(crash_disk *disk, int64_t bytes) {
  pthread_mutex_lock(&disk->lock);
  disk->capacity = bytes;
  pthread_mutex_unlock(&disk->lock);
}

void crash_disk_slow(crash_disk *disk, int64_t sync_microseconds) {
  pthread_mutex_lock(&disk->lock);
  disk->sync_microseconds = sync_microseconds;
  pthread_mutex_unlock(&disk->lock);
}

crash_counts crash_disk_counts(crash_disk *disk) {
  pthread_mutex_lock(&disk->lock);
  crash_counts counts = disk->counts;
  pthread_mutex_unlock(&disk->lock);
  return counts;
}

int64_t crash_disk_size(crash_disk *disk) {
  pthread_mutex_lock(&disk->lock);
  int64_t size = disk_total(disk);
  pthread_mutex_unlock(&disk->lock);
  return size;
}

void crash_disk_free(crash_disk *disk) {
  crash_disk_crash(disk);
  pthread_mutex_lock(&disk->lock);
  boot *newest = disk->boots;
  disk->is_freed = true;
  disk_release(disk);
  pthread_mutex_unlock(&disk->lock);
  if (newest) sqlite3_vfs_unregister(&newest->vfs);
}
