#pragma once
#include <stdbool.h>
#include <stdint.h>

// A disk in memory for tests of what survives a crash: a SQLite VFS that keeps apart what was synced and what was only
// written. At a crash a random part of what was not synced is lost, torn in sectors or turned into garbage, as in
// SQLite's own crash tests (sqlite.org/testing.html, 4.2). A seed decides all of it.
//
// Every function may be called from any thread. Paths are plain names.

typedef struct crash_disk crash_disk;

// What goes wrong.
typedef enum {
  CRASH_WRITE_FULL,    // nothing is written, SQLITE_FULL
  CRASH_WRITE_SHORT,   // half is written, SQLITE_FULL
  CRASH_WRITE_ERROR,   // half is written, SQLITE_IOERR_WRITE
  CRASH_SYNC_ERROR,    // SQLITE_IOERR_FSYNC; what was written since the last sync may be lost for good
  CRASH_TRUNCATE_ERROR,
  CRASH_READ_ERROR,
  CRASH_FAULTS
} crash_fault;

typedef struct {
  int64_t operations;  // writes, syncs, truncations and deletions together
  int64_t writes;
  int64_t bytes;
  int64_t main_syncs;
  int64_t log_syncs;      // of write-ahead logs
  int64_t journal_syncs;  // of rollback journals
  int64_t directory_syncs;
} crash_counts;

crash_disk *crash_disk_create(uint64_t seed);

// Switches the disk on. The name is the VFS to open files with until the next crash; what was opened before gets
// I/O errors for ever. NULL where it cannot be registered.
const char *crash_disk_boot(crash_disk *disk);

// Switches it off in the middle of the operation that comes after so many more; negative for never.
void crash_disk_crash_after(crash_disk *disk, int64_t operations);

// Switches it off now.
void crash_disk_crash(crash_disk *disk);

bool crash_disk_is_off(crash_disk *disk);

// Lets a fault happen after so many operations of its kind, so many times; negative times for ever.
void crash_disk_fail(crash_disk *disk, crash_fault fault, int64_t after, int64_t times);

// Bytes that all files may have together; 0 for no bound.
void crash_disk_capacity(crash_disk *disk, int64_t bytes);

// How long a sync takes.
void crash_disk_slow(crash_disk *disk, int64_t sync_microseconds);

crash_counts crash_disk_counts(crash_disk *disk);

// Bytes of all files now.
int64_t crash_disk_size(crash_disk *disk);

// Switches it off and gives its memory back, once everything that was opened is closed.
void crash_disk_free(crash_disk *disk);
