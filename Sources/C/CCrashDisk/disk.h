#pragma once
#include <pthread.h>
#include <sqlite3.h>

#include "crash_disk.h"

// One write or change of length since the last sync.
typedef struct change {
  struct change *next;
  int64_t offset;  // or the new length
  int64_t count;   // negative for a change of length
  bool is_lost;    // its sync failed: no later one makes it durable
  unsigned char bytes[];
} change;

typedef struct {
  unsigned char *bytes;
  int64_t size, room;
} buffer;

#define SHM_LOCKS 8
#define SHM_REGIONS 64

typedef struct node {
  struct node *next;
  char *name;  // NULL for a temporary file
  buffer now, durable;
  change *first, *last;
  bool exists, is_durable;
  int users;
  // SQLite's file locks: who holds what, by handle.
  int shared;
  const void *reserved, *pending, *exclusive;
  void *regions[SHM_REGIONS];
  int shm_shared[SHM_LOCKS];
  const void *shm_exclusive[SHM_LOCKS];
} node;

typedef struct boot {
  struct boot *next;
  sqlite3_vfs vfs;
  char name[64];
  crash_disk *disk;
} boot;

typedef struct scrap {
  struct scrap *next;
  void *memory;
} scrap;

struct crash_disk {
  pthread_mutex_t lock;
  uint64_t random;
  int64_t id;
  bool is_off, is_freed;
  int handles;
  node *nodes;
  boot *boots;  // the newest first
  scrap *scraps;  // shared memory of boots before: somebody may still look at it
  int64_t crash_after, capacity, sync_microseconds;
  struct {
    int64_t after, times;
  } faults[CRASH_FAULTS];
  crash_counts counts;
};

// All of these want the lock held.
uint64_t disk_random(crash_disk *disk);
node *disk_find(crash_disk *disk, const char *name, bool create);
bool disk_fails(crash_disk *disk, crash_fault fault);
// Counts an operation; true where the disk goes off in it.
bool disk_operates(crash_disk *disk);
void disk_crash(crash_disk *disk);
int disk_write(crash_disk *disk, node *file, const void *bytes, int64_t count, int64_t offset);
int disk_truncate(crash_disk *disk, node *file, int64_t size);
void disk_make(node *file);
void disk_sync(node *file);
void disk_sync_names(crash_disk *disk);
void disk_release(crash_disk *disk);
void disk_forget_shm(crash_disk *disk, node *file);
int64_t disk_total(const crash_disk *disk);

extern const sqlite3_vfs crash_vfs;
