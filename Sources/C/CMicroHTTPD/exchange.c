// The receiver's side of an exchange: reading the request, giving the answer.
#include "internal.h"

#include <stdlib.h>
#include <string.h>

void wp_exchange_drop(wp_exchange *exchange) {
  if (atomic_fetch_sub(&exchange->owners, 1) != 1) return;
  if (exchange->response) MHD_destroy_response(exchange->response);
  for (size_t i = 0; i < exchange->header_count; i++) {
    free((char *)exchange->headers[i].name);
    free((char *)exchange->headers[i].value);
  }
  free(exchange->headers);
  free(exchange->target);
  free(exchange->method);
  free(exchange->body);
  atomic_fetch_sub(&exchange->server->bodies, exchange->body_capacity);
  free(exchange->unsent);
  pthread_mutex_destroy(&exchange->lock);
  free(exchange);
}

const char *wp_exchange_method(wp_exchange *exchange) { return exchange->method; }
const char *wp_exchange_target(wp_exchange *exchange) { return exchange->target; }
const char *wp_exchange_peer(wp_exchange *exchange) { return exchange->peer; }
size_t wp_exchange_header_count(wp_exchange *exchange) { return exchange->header_count; }
wp_header wp_exchange_header(wp_exchange *exchange, size_t index) {
  return exchange->headers[index];
}
const uint8_t *wp_exchange_body(wp_exchange *exchange, size_t *count) {
  *count = exchange->body_count;
  return exchange->body;
}

int wp_exchange_announced(wp_exchange *exchange, size_t *count) {
  *count = exchange->announced;
  return !exchange->is_chunked;
}

void wp_exchange_forget_body(wp_exchange *exchange) {
  // Its bytes stay counted until the exchange goes: the receiver has its copy until then.
  free(exchange->body);
  exchange->body = NULL;
  exchange->body_count = 0;
}

static void add_headers(struct MHD_Response *response, wp_exchange *exchange,
                        const wp_header *headers, size_t count) {
  for (size_t i = 0; i < count; i++)
    MHD_add_response_header(response, headers[i].name, headers[i].value);
  if (exchange->is_last || atomic_load(&exchange->server->quiesced))
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
}

// Under the exchange's lock: lets the library go on where it waits.
static void wake(wp_exchange *exchange) {
  if (!exchange->suspended) return;
  exchange->suspended = false;
  MHD_resume_connection(exchange->mhd);
}

// Takes a response, NULL where memory is out, as the exchange's answer; drops it where that has one or is gone.
static void answer(wp_exchange *exchange, struct MHD_Response *response, unsigned status,
                   const wp_header *headers, size_t header_count, bool streaming) {
  if (response) add_headers(response, exchange, headers, header_count);
  pthread_mutex_lock(&exchange->lock);
  if (exchange->response || exchange->gone || !response) {
    if (response) MHD_destroy_response(response);
    if (!exchange->response) exchange->gone = true;
  } else {
    exchange->response = response;
    exchange->status = status;
    exchange->streaming = streaming;
  }
  wake(exchange);
  pthread_mutex_unlock(&exchange->lock);
}

void wp_exchange_respond(wp_exchange *exchange, unsigned status, const wp_header *headers,
                         size_t header_count, const uint8_t *body, size_t body_count) {
  struct MHD_Response *response =
      MHD_create_response_from_buffer(body_count, (void *)body, MHD_RESPMEM_MUST_COPY);
  answer(exchange, response, status, headers, header_count, false);
}

// The library asks for more of a streamed answer.
static ssize_t next_part(void *context, uint64_t position, char *buffer, size_t max) {
  (void)position;
  wp_exchange *exchange = context;
  ssize_t result = 0;
  pthread_mutex_lock(&exchange->lock);
  size_t waiting = exchange->unsent_count - exchange->unsent_at;
  if (waiting > 0) {
    size_t count = waiting < max ? waiting : max;
    memcpy(buffer, exchange->unsent + exchange->unsent_at, count);
    exchange->unsent_at += count;
    if (exchange->unsent_at == exchange->unsent_count)
      exchange->unsent_at = exchange->unsent_count = 0;
    result = (ssize_t)count;
  } else if (exchange->gone) {
    result = MHD_CONTENT_READER_END_WITH_ERROR;
  } else if (exchange->ended) {
    result = MHD_CONTENT_READER_END_OF_STREAM;
  } else {
    exchange->suspended = true;
    MHD_suspend_connection(exchange->mhd);
  }
  pthread_mutex_unlock(&exchange->lock);
  return result;
}

void wp_exchange_begin(wp_exchange *exchange, unsigned status, const wp_header *headers,
                       size_t header_count) {
  struct MHD_Response *response =
      MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096, next_part, exchange, NULL);
  answer(exchange, response, status, headers, header_count, true);
}

// Under the lock: room for more bytes; false where too much waits or memory is out.
static bool reserve(wp_exchange *exchange, size_t count) {
  size_t waiting = exchange->unsent_count - exchange->unsent_at;
  if (waiting + count > UNSENT_MAX) return false;
  if (exchange->unsent_at > 0) {
    memmove(exchange->unsent, exchange->unsent + exchange->unsent_at, waiting);
    exchange->unsent_at = 0;
    exchange->unsent_count = waiting;
  }
  if (waiting + count <= exchange->unsent_capacity) return true;
  size_t capacity = exchange->unsent_capacity ? exchange->unsent_capacity : 4096;
  while (capacity < waiting + count) capacity *= 2;
  uint8_t *larger = realloc(exchange->unsent, capacity);
  if (!larger) return false;
  exchange->unsent = larger;
  exchange->unsent_capacity = capacity;
  return true;
}

int wp_exchange_write(wp_exchange *exchange, const uint8_t *bytes, size_t count) {
  pthread_mutex_lock(&exchange->lock);
  if (!exchange->gone && !reserve(exchange, count)) exchange->gone = true;
  bool sent = !exchange->gone && exchange->streaming && !exchange->ended;
  if (sent && count > 0) {
    memcpy(exchange->unsent + exchange->unsent_count, bytes, count);
    exchange->unsent_count += count;
  }
  wake(exchange);
  pthread_mutex_unlock(&exchange->lock);
  return sent ? 0 : -1;
}

void wp_exchange_end(wp_exchange *exchange) {
  pthread_mutex_lock(&exchange->lock);
  exchange->ended = true;
  wake(exchange);
  pthread_mutex_unlock(&exchange->lock);
}

void wp_exchange_release(wp_exchange *exchange) {
  pthread_mutex_lock(&exchange->lock);
  // A receiver that lets go without an answer must not leave the client waiting.
  if (!exchange->response) exchange->gone = true;
  exchange->ended = true;
  wake(exchange);
  pthread_mutex_unlock(&exchange->lock);
  wp_exchange_drop(exchange);
}
