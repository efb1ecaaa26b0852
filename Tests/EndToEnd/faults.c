// A disk that fails, preloaded into the server; test_storage.py compiles it. The first byte of the file that
// WAYPOST_FAULTS names says what happens to record.db, its log and its journal: 'n' nothing, 'f' no room (ENOSPC),
// 'w' writes fail (EIO), 's' syncs fail (EIO), 'h' half of each write is done and then there is no room, 'd' syncs
// take three seconds.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const volatile char *mode_file;

static void __attribute__((constructor)) begin(void) {
  const char *path = getenv("WAYPOST_FAULTS");
  int descriptor = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (descriptor < 0) return;
  void *memory = mmap(NULL, 1, PROT_READ, MAP_SHARED, descriptor, 0);
  if (memory != MAP_FAILED) mode_file = memory;
  close(descriptor);
}

// What happens to this file now.
static char mode(int descriptor) {
  char now = mode_file ? *mode_file : 'n';
  if (now == 'n') return 'n';
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t count = readlink(link, path, sizeof path - 1);
  if (count <= 0) return 'n';
  path[count] = 0;
  if (!strstr(path, "/record.db") || strstr(path, ".lock") || strstr(path, "-shm")) return 'n';
  return now;
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

// Whether a sync fails.
static int failed(int descriptor) {
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
