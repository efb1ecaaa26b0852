#pragma once
#include "waypost_http.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

enum { TARGET_MAX = 8 * 1024, HEAD_MAX = 16 * 1024, HEADER_COUNT_MAX = 100 };
enum { UNSENT_MAX = 4 * 1024 * 1024, SWALLOW_MAX = 1024 * 1024, SHORT_BODY_MAX = 64 * 1024 };

// What a connection is doing, for the reaper.
typedef enum { PHASE_HEAD, PHASE_BODY, PHASE_BUSY, PHASE_IDLE } wp_phase;

// One connection, from accept to close. Guarded by the server's lock.
typedef struct wp_connection {
  struct wp_connection *previous, *next;
  wp_server *server;
  int fd;
  wp_phase phase;
  time_t since;
  struct wp_exchange *exchange;
} wp_connection;

struct wp_server {
  struct MHD_Daemon *daemon;
  wp_options options;
  wp_callbacks callbacks;
  uint16_t port;
  atomic_bool quiesced, stopping;
  atomic_uint active;
  atomic_ullong next_id;
  atomic_size_t bodies;       // bytes that the bodies of all exchanges take up
  pthread_t reaper;
  pthread_mutex_t lock;  // guards the list of connections
  wp_connection *connections;
};

// One request and its answer. Two owners: the library and the receiver; freed by the last.
struct wp_exchange {
  atomic_int owners;
  uint64_t id;
  wp_server *server;
  wp_connection *connection;  // NULL once the library is done
  struct MHD_Connection *mhd;
  pthread_mutex_t lock;       // guards everything below
  bool delivered, suspended, gone, streaming, ended, queued;
  int refused;                // a status that the head or body earned, or 0
  const char *refused_code;
  char code[48];              // where the receiver writes its own
  char *target, *method;
  const char *raw_target;     // in the library's buffer, as is head_at: only until the head is checked
  const char *head_at;        // where the head's last part so far ends; NULL where one did not follow the one before
  char peer[64];
  wp_header *headers;
  size_t header_count, header_bytes;
  bool has_body, is_chunked, is_last;  // is_last: the connection ends with its answer
  size_t announced, body_max;
  uint8_t *body;
  size_t body_count, body_capacity, swallowed;
  struct MHD_Response *response;
  unsigned status;
  uint8_t *unsent;
  size_t unsent_at, unsent_count, unsent_capacity;
};

void wp_exchange_drop(wp_exchange *exchange);
time_t wp_now(void);
void wp_set_phase(wp_exchange *exchange, wp_phase phase);
// The next three follow a head through the library's buffer, part by part, and say where the part ends. NULL, or
// false, where it does not lie behind the one before.
const char *wp_after_start_line(const wp_exchange *exchange, const char *method,
                                const char *version);
const char *wp_after_header(const char *at, const char *name, size_t name_count,
                            const char *value, size_t value_count);
bool wp_is_head_end(const char *at, const char *end);
// 0, or the status the head earned; sets refused_code.
int wp_check_head(wp_exchange *exchange, const char *version, bool is_whole);
// Sends an answer of ours.
enum MHD_Result wp_queue(struct MHD_Connection *mhd, unsigned status,
                         struct MHD_Response *response);
// Answers an exchange that was refused before it became a request.
enum MHD_Result wp_answer_refusal(wp_exchange *exchange);
