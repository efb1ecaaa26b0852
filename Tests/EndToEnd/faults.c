// A disk that fails, preloaded into the server; faults.py compiles it. The first byte of the file that
// WAYPOST_FAULTS names says what happens to record.db, its log and its journal: 'n' nothing, 'f' no room (ENOSPC),
// 'w' writes fail (EIO), 's' syncs fail (EIO), 'h' half of each write is done and then there is no room, 'd' syncs
// take three seconds. From byte 8 on the file has the number of their syncs, 64 bits.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const volatile char *mode_file;
static _Atomic long *sync_count;

static void __attribute__((constructor)) begin(void) {
  const char *path = getenv("WAYPOST_FAULTS");
  int descriptor = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (descriptor < 0) return;
  char *memory = mmap(NULL, 16, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (memory != MAP_FAILED) {
    mode_file = memory;
    sync_count = (_Atomic long *)(memory + 8);
  }
  close(descriptor);
}

static int is_watched(int descriptor) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t count = readlink(link, path, sizeof path - 1);
  if (count <= 0) return 0;
  path[count] = 0;
  return strstr(path, "/record.db") && !strstr(path, ".lock") && !strstr(path, "-shm");
}

// What happens to this file now.
static char mode(int descriptor) {
  char now = mode_file ? *mode_file : 'n';
  return now != 'n' && is_watched(descriptor) ? now : 'n';
}

// Whether a write fails; else how much of it is done.
static int refused(int descriptor, size_t *count) {
  switch (mode(descriptor)) {
    case 'f': return ENOSPC;
    case 'w': return EIO;
    case 'h':
      if (*count < 2) return ENOSPC;
      *count /= 2;
      return 0;
    default: return 0;
  }
}

#define NEXT(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))

ssize_t write(int descriptor, const void *bytes, size_t count) {
  int error = refused(descriptor, &count);
  if (error) return errno = error, -1;
  return NEXT(write)(descriptor, bytes, count);
}

ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t offset) {
  int error = refused(descriptor, &count);
  if (error) return errno = error, -1;
  return NEXT(pwrite)(descriptor, bytes, count, offset);
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t count, off64_t offset) {
  int error = refused(descriptor, &count);
  if (error) return errno = error, -1;
  return NEXT(pwrite64)(descriptor, bytes, count, offset);
}

// Counts a sync, and tells whether it fails.
static int failed(int descriptor) {
  if (sync_count && is_watched(descriptor)) atomic_fetch_add(sync_count, 1);
  char now = mode(descriptor);
  if (now == 'd') sleep(3);
  return now == 's';
}

int fsync(int descriptor) {
  if (failed(descriptor)) return errno = EIO, -1;
  return NEXT(fsync)(descriptor);
}

int fdatasync(int descriptor) {
  if (failed(descriptor)) return errno = EIO, -1;
  return NEXT(fdatasync)(descriptor);
}
