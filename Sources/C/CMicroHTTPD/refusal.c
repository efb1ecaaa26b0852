// Answers to what never becomes a request: heads and bodies that we refuse, and those that the library does.
//
// libmicrohttpd 0.9.75 answers a request line, a length or a chunk that it cannot read with a page of its own,
// without any of our headers, and has no hook for that. It calls its own exported MHD_queue_response through the
// linker's table, though, so the definition in this file stands before the library's and sees those answers too.
#include "internal.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

// An answer under way: for the library to send, or as text for the socket.
struct wp_refusal {
  int status;
  bool is_text;
  struct MHD_Response *response;
  char *text;
  size_t count;
};

typedef enum MHD_Result queue_function(struct MHD_Connection *, unsigned, struct MHD_Response *);

static queue_function *library_queue;
static pthread_once_t library_once = PTHREAD_ONCE_INIT;

static void find_library_queue(void) {
  *(void **)&library_queue = dlsym(RTLD_NEXT, "MHD_queue_response");
}

enum MHD_Result wp_queue(struct MHD_Connection *mhd, unsigned status,
                         struct MHD_Response *response) {
  pthread_once(&library_once, find_library_queue);
  return library_queue ? library_queue(mhd, status, response) : MHD_NO;
}

static bool is_one_line(const char *text) { return !strpbrk(text, "\r\n"); }

static void write_text(wp_refusal *refusal, const wp_header *headers, size_t header_count,
                       const uint8_t *body, size_t body_count) {
  char date[40];
  time_t now = time(NULL);
  struct tm parts;
  strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &parts));
  FILE *out = open_memstream(&refusal->text, &refusal->count);
  if (!out) return;
  fprintf(out, "HTTP/1.1 %d %s\r\nDate: %s\r\nConnection: close\r\nContent-Length: %zu\r\n",
          refusal->status, MHD_get_reason_phrase_for((unsigned)refusal->status), date, body_count);
  for (size_t i = 0; i < header_count; i++)
    if (is_one_line(headers[i].name) && is_one_line(headers[i].value))
      fprintf(out, "%s: %s\r\n", headers[i].name, headers[i].value);
  fputs("\r\n", out);
  fwrite(body, 1, body_count, out);
  if (fclose(out) != 0) refusal->count = 0;
}

void wp_refusal_answer(wp_refusal *refusal, const wp_header *headers, size_t header_count,
                       const uint8_t *body, size_t body_count) {
  if (refusal->text || refusal->response) return;
  if (refusal->is_text) {
    write_text(refusal, headers, header_count, body, body_count);
    return;
  }
  refusal->response =
      MHD_create_response_from_buffer(body_count, (void *)body, MHD_RESPMEM_MUST_COPY);
  if (!refusal->response) return;
  for (size_t i = 0; i < header_count; i++)
    MHD_add_response_header(refusal->response, headers[i].name, headers[i].value);
  MHD_add_response_header(refusal->response, MHD_HTTP_HEADER_CONNECTION, "close");
}

enum MHD_Result wp_answer_refusal(wp_exchange *exchange) {
  wp_callbacks calls = exchange->server->callbacks;
  wp_refusal refusal = {.status = exchange->refused};
  // Without memory for its address there is no head to show.
  calls.refusal(calls.context, exchange->target ? exchange : NULL, &refusal, exchange->refused,
                exchange->refused_code);
  if (!refusal.response) return MHD_NO;
  enum MHD_Result done = wp_queue(exchange->mhd, (unsigned)exchange->refused, refusal.response);
  MHD_destroy_response(refusal.response);
  exchange->queued = true;
  return done;
}

static const char *code_of(unsigned status) {
  switch (status) {
    case 413: return "body_too_large";
    case 414: return "target_too_long";
    case 431: return "head_too_large";
    case 505: return "version_not_supported";
    case 500: case 503: return "too_many_bodies";
    default: return "malformed_request";
  }
}

// What came after is read away, as far as it is there: closing upon it would reset the connection, and could
// cost the client the answer.
static void drain(int fd) {
  char rest[4096];
  size_t sum = 0;
  ssize_t count;
  while (sum < SWALLOW_MAX && (count = recv(fd, rest, sizeof rest, MSG_DONTWAIT)) > 0)
    sum += (size_t)count;
}

// The library calls this for its own answers; ours go by wp_queue. The answer is written here and the library
// told that it failed, upon which it closes: after some mistakes it would send its head twice.
enum MHD_Result MHD_queue_response(struct MHD_Connection *mhd, unsigned status,
                                   struct MHD_Response *response) {
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  wp_connection *connection = info ? info->socket_context : NULL;
  if (!connection) return wp_queue(mhd, status, response);
  // Without memory or a place for more it says 500 or 503: a client may try again.
  wp_refusal refusal = {.status = status == 500 ? 503 : (int)status, .is_text = true};
  wp_callbacks calls = connection->server->callbacks;
  calls.refusal(calls.context, NULL, &refusal, refusal.status, code_of(status));
  if (refusal.count > 0) {
    send(connection->fd, refusal.text, refusal.count, MSG_DONTWAIT | MSG_NOSIGNAL);
    shutdown(connection->fd, SHUT_WR);
    drain(connection->fd);
  }
  free(refusal.text);
  return MHD_NO;
}
