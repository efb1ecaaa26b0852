// A clock that a test sets, preloaded into the server: moment.py compiles it. The file that WAYPOST_MOMENT names has two
// 64-bit numbers, in milliseconds: the moment at which the day's clock stands still (0: it goes), and how far it is ahead.
// Clocks that only rise are left as they are: waiting goes on in real time.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *setting;

static void __attribute__((constructor)) begin(void) {
  const char *path = getenv("WAYPOST_MOMENT");
  int descriptor = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (descriptor < 0) return;
  void *memory = mmap(NULL, 16, PROT_READ, MAP_SHARED, descriptor, 0);
  if (memory != MAP_FAILED) setting = memory;
  close(descriptor);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
  static __typeof__(clock_gettime) *next;
  if (!next) next = (__typeof__(next))dlsym(RTLD_NEXT, "clock_gettime");
  int result = next(clock, time);
  if (result || clock != CLOCK_REALTIME || !setting) return result;
  int64_t still = setting[0], ahead = setting[1];
  if (still) {
    time->tv_sec = still / 1000;
    time->tv_nsec = still % 1000 * 1000000;
  } else {
    time->tv_sec += ahead / 1000;
    time->tv_nsec += ahead % 1000 * 1000000;
    if (time->tv_nsec >= 1000000000) time->tv_sec++, time->tv_nsec -= 1000000000;
    if (time->tv_nsec < 0) time->tv_sec--, time->tv_nsec += 1000000000;
  }
  return 0;
}
