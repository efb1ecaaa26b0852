// A small HTTP/1.1 server interface, free of the types of the library behind it (libmicrohttpd),
// so that another library could stand there. Thread safety: every function may be called from any
// thread; the callbacks run on the library's threads and must not block.
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef struct wp_server wp_server;
typedef struct wp_exchange wp_exchange;
typedef struct wp_refusal wp_refusal;

typedef struct {
  const char *name;
  const char *value;
} wp_header;

typedef struct {
  const char *host;          // a numeric IPv4 or IPv6 address
  uint16_t port;             // 0 picks a free one
  unsigned threads;
  unsigned connections_max;
  size_t body_max;           // bytes of a body, whatever the receiver grants; more is answered with 413
  size_t bodies_max;         // bytes of all bodies at once, half of them for those over 64 kB; else 503
  unsigned head_seconds;     // a new connection's first request line and headers
  unsigned body_seconds;     // from the end of the head to the end of the body
  unsigned idle_seconds;     // between requests of a kept connection
} wp_options;

typedef struct {
  void *context;
  // A head has arrived that announces a body. Gives the bytes that the body may have, or sets `status` and
  // `code` to refuse the request before its body is taken. The exchange is only lent, and has no body yet.
  size_t (*admit)(void *context, wp_exchange *exchange, int *status, char *code, size_t code_size);
  // A whole request has arrived. The exchange is the receiver's until wp_exchange_release.
  void (*on_request)(void *context, wp_exchange *exchange, uint64_t id);
  // The client left, or the answer has gone out: work for it may stop.
  void (*on_close)(void *context, uint64_t id);
  // What came is refused before it became a request. The callee answers with wp_refusal_answer, once, before it
  // returns. The exchange is only lent, and NULL where there is no head that could be read.
  void (*refusal)(void *context, wp_exchange *exchange, wp_refusal *refusal, int status,
                  const char *code);
} wp_callbacks;

// NULL with the reason in `error` where the address cannot be had.
wp_server *wp_server_start(const wp_options *options, wp_callbacks callbacks, char *error,
                           size_t error_size);
uint16_t wp_server_port(wp_server *server);
// Takes no new connections; answers carry `Connection: close` from now on.
void wp_server_quiesce(wp_server *server);
// Requests that are not answered to the end yet.
unsigned wp_server_active(wp_server *server);
// Gives up every running request: its writes fail, its on_close is called.
void wp_server_abandon(wp_server *server);
// Frees everything. Call it when wp_server_active is 0.
void wp_server_stop(wp_server *server);

const char *wp_exchange_method(wp_exchange *exchange);
const char *wp_exchange_target(wp_exchange *exchange);  // raw, not decoded
const char *wp_exchange_peer(wp_exchange *exchange);    // the numeric address
size_t wp_exchange_header_count(wp_exchange *exchange);
wp_header wp_exchange_header(wp_exchange *exchange, size_t index);
const uint8_t *wp_exchange_body(wp_exchange *exchange, size_t *count);
// Whether the body's length is announced, and how many bytes it says; a chunked one is not.
int wp_exchange_announced(wp_exchange *exchange, size_t *count);
// Frees the body once it was read.
void wp_exchange_forget_body(wp_exchange *exchange);

// The answer of a refusal; the connection closes after it.
void wp_refusal_answer(wp_refusal *refusal, const wp_header *headers, size_t header_count,
                       const uint8_t *body, size_t body_count);

// One whole answer.
void wp_exchange_respond(wp_exchange *exchange, unsigned status, const wp_header *headers,
                         size_t header_count, const uint8_t *body, size_t body_count);
// An answer in parts: begin, write any number of times, end.
void wp_exchange_begin(wp_exchange *exchange, unsigned status, const wp_header *headers,
                       size_t header_count);
// 0, or -1 where the client is gone or reads too slowly (4 MiB wait unsent).
int wp_exchange_write(wp_exchange *exchange, const uint8_t *bytes, size_t count);
void wp_exchange_end(wp_exchange *exchange);
void wp_exchange_release(wp_exchange *exchange);
