// The library's side: connections, requests arriving, deadlines, the end.
#include "internal.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

time_t wp_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec;
}

void wp_set_phase(wp_exchange *exchange, wp_phase phase) {
  wp_server *server = exchange->server;
  pthread_mutex_lock(&server->lock);
  if (exchange->connection) {
    exchange->connection->phase = phase;
    exchange->connection->since = wp_now();
    exchange->connection->exchange = phase == PHASE_IDLE ? NULL : exchange;
  }
  pthread_mutex_unlock(&server->lock);
}

static void on_connection(void *context, struct MHD_Connection *mhd, void **socket_context,
                          enum MHD_ConnectionNotificationCode code) {
  wp_server *server = context;
  if (code == MHD_CONNECTION_NOTIFY_STARTED) {
    wp_connection *connection = calloc(1, sizeof *connection);
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (!connection || !info) {
      free(connection);
      return;
    }
    connection->server = server;
    connection->fd = info->connect_fd;
    connection->since = wp_now();
    pthread_mutex_lock(&server->lock);
    connection->next = server->connections;
    if (server->connections) server->connections->previous = connection;
    server->connections = connection;
    pthread_mutex_unlock(&server->lock);
    *socket_context = connection;
  } else if (*socket_context) {
    // The library closes the descriptor after this call, so the reaper never sees a reused one.
    wp_connection *connection = *socket_context;
    pthread_mutex_lock(&server->lock);
    if (connection->previous) connection->previous->next = connection->next;
    else server->connections = connection->next;
    if (connection->next) connection->next->previous = connection->previous;
    pthread_mutex_unlock(&server->lock);
    free(connection);
    *socket_context = NULL;
  }
}

// The raw target, before the library decodes it: the exchange starts here.
static void *on_target(void *context, const char *target, struct MHD_Connection *mhd) {
  wp_server *server = context;
  wp_exchange *exchange = calloc(1, sizeof *exchange);
  if (!exchange) return NULL;
  atomic_init(&exchange->owners, 1);
  pthread_mutex_init(&exchange->lock, NULL);
  exchange->server = server;
  exchange->mhd = mhd;
  exchange->id = atomic_fetch_add(&server->next_id, 1) + 1;
  exchange->target = strdup(target);
  exchange->raw_target = target;
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  exchange->connection = info ? info->socket_context : NULL;
  info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  if (info && info->client_addr)
    getnameinfo(info->client_addr,
                info->client_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in)
                                                        : sizeof(struct sockaddr_in6),
                exchange->peer, sizeof exchange->peer, NULL, 0, NI_NUMERICHOST);
  atomic_fetch_add(&server->active, 1);
  return exchange;
}

static enum MHD_Result keep_header(void *context, enum MHD_ValueKind kind, const char *name,
                                   size_t name_count, const char *value, size_t value_count) {
  (void)kind;
  wp_exchange *exchange = context;
  if (exchange->header_count > HEADER_COUNT_MAX) return MHD_NO;
  exchange->head_at = wp_after_header(exchange->head_at, name, name_count, value, value_count);
  wp_header *larger =
      realloc(exchange->headers, (exchange->header_count + 1) * sizeof *exchange->headers);
  if (!larger) return MHD_NO;
  exchange->headers = larger;
  value = value ? value : "";
  exchange->header_bytes += name_count + value_count + 4;
  larger[exchange->header_count++] = (wp_header){strdup(name), strdup(value)};
  return MHD_YES;
}

// Copies the method and the headers; whether they are all of the head.
static bool keep_head(wp_exchange *exchange, const char *method, const char *version) {
  exchange->method = strdup(method);
  exchange->head_at = wp_after_start_line(exchange, method, version);
  MHD_get_connection_values_n(exchange->mhd, MHD_HEADER_KIND, keep_header, exchange);
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info(exchange->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
  bool is_whole = info && wp_is_head_end(exchange->head_at, method + info->header_size);
  exchange->raw_target = exchange->head_at = NULL;
  return is_whole;
}

static void refuse(wp_exchange *exchange, int status, const char *code) {
  exchange->refused = status;
  exchange->refused_code = code;
}

// What all bodies may take up, as a body of so many bytes sees it: large ones leave half to the short ones.
static size_t bodies_max(const wp_server *server, size_t count) {
  return count > SHORT_BODY_MAX ? server->options.bodies_max / 2 : server->options.bodies_max;
}

// Asks the receiver what body this head may have, before any of it takes up memory.
static void admit(wp_exchange *exchange) {
  wp_server *server = exchange->server;
  wp_callbacks calls = server->callbacks;
  if (!exchange->has_body) return;
  int status = 0;
  exchange->body_max =
      calls.admit(calls.context, exchange, &status, exchange->code, sizeof exchange->code);
  if (exchange->body_max > server->options.body_max)
    exchange->body_max = server->options.body_max;
  if (status) refuse(exchange, status, exchange->code);
  else if (exchange->announced > exchange->body_max) refuse(exchange, 413, "body_too_large");
  else if (atomic_load(&server->bodies) + exchange->announced >
           bodies_max(server, exchange->announced))
    refuse(exchange, 503, "too_many_bodies");
}

// A refused body that is short is read to its end, unkept: closing upon a client that still sends would
// cost it the answer.
static bool swallows(const wp_exchange *exchange) {
  return exchange->is_chunked || exchange->announced <= SWALLOW_MAX;
}

// Room for a body of so many bytes; refuses where all bodies together take up too much.
static bool grow_body(wp_exchange *exchange, size_t count) {
  wp_server *server = exchange->server;
  size_t capacity = exchange->body_capacity ? exchange->body_capacity : 1024;
  while (capacity < count) capacity *= 2;
  if (capacity > exchange->body_max) capacity = exchange->body_max;
  size_t more = capacity - exchange->body_capacity;
  if (atomic_fetch_add(&server->bodies, more) + more > bodies_max(server, capacity)) {
    atomic_fetch_sub(&server->bodies, more);
    refuse(exchange, 503, "too_many_bodies");
    return false;
  }
  uint8_t *larger = realloc(exchange->body, capacity);
  if (!larger) {
    atomic_fetch_sub(&server->bodies, more);
    refuse(exchange, 503, "too_many_bodies");
    return false;
  }
  exchange->body = larger;
  exchange->body_capacity = capacity;
  return true;
}

static enum MHD_Result take_body(wp_exchange *exchange, const char *bytes, size_t *count) {
  size_t arrived = *count, sum = exchange->body_count + arrived;
  *count = 0;
  // A chunked body shows its size only as it comes.
  if (!exchange->refused && sum > exchange->body_max) refuse(exchange, 413, "body_too_large");
  if (!exchange->refused && sum > exchange->body_capacity) grow_body(exchange, sum);
  if (exchange->refused) {
    // Swallow a bounded rest, then cut.
    exchange->swallowed += arrived;
    return exchange->swallowed > SWALLOW_MAX ? MHD_NO : MHD_YES;
  }
  memcpy(exchange->body + exchange->body_count, bytes, arrived);
  exchange->body_count = sum;
  return MHD_YES;
}

// Hands the request over once, then waits suspended until an answer is there.
static enum MHD_Result deliver(wp_exchange *exchange) {
  if (!exchange->delivered) {
    exchange->delivered = true;
    // What the library makes of the lines behind a chunked body cannot be followed as a head can (a trailer that begins
    // with NUL is none to it): nothing behind them may be taken for another request.
    exchange->is_last = exchange->is_chunked;
    wp_set_phase(exchange, PHASE_BUSY);
    atomic_fetch_add(&exchange->owners, 1);
    wp_callbacks calls = exchange->server->callbacks;
    calls.on_request(calls.context, exchange, exchange->id);
  }
  enum MHD_Result done = MHD_YES;
  pthread_mutex_lock(&exchange->lock);
  if (exchange->response) {
    if (!exchange->queued) {
      exchange->queued = true;
      done = wp_queue(exchange->mhd, exchange->status, exchange->response);
    }
  } else if (exchange->gone) {
    done = MHD_NO;
  } else {
    exchange->suspended = true;
    MHD_suspend_connection(exchange->mhd);
  }
  pthread_mutex_unlock(&exchange->lock);
  return done;
}

static enum MHD_Result on_access(void *context, struct MHD_Connection *mhd, const char *url,
                                 const char *method, const char *version, const char *upload,
                                 size_t *upload_count, void **request_context) {
  (void)context;
  (void)mhd;
  (void)url;
  wp_exchange *exchange = *request_context;
  if (!exchange) return MHD_NO;
  if (!exchange->method) {
    bool is_whole = keep_head(exchange, method, version);
    if (!exchange->method) return MHD_NO;
    exchange->refused = wp_check_head(exchange, version, is_whole);
    if (exchange->refused) return wp_answer_refusal(exchange);
    admit(exchange);
    if (exchange->refused && !swallows(exchange)) return wp_answer_refusal(exchange);
    wp_set_phase(exchange, PHASE_BODY);
    return MHD_YES;
  }
  if (*upload_count > 0) return take_body(exchange, upload, upload_count);
  if (exchange->refused) return exchange->queued ? MHD_YES : wp_answer_refusal(exchange);
  return deliver(exchange);
}

static void on_completed(void *context, struct MHD_Connection *mhd, void **request_context,
                         enum MHD_RequestTerminationCode code) {
  (void)mhd;
  (void)code;
  wp_server *server = context;
  wp_exchange *exchange = *request_context;
  if (!exchange) return;
  *request_context = NULL;
  wp_set_phase(exchange, PHASE_IDLE);
  pthread_mutex_lock(&exchange->lock);
  exchange->gone = true;
  exchange->suspended = false;
  exchange->connection = NULL;
  pthread_mutex_unlock(&exchange->lock);
  if (exchange->delivered) server->callbacks.on_close(server->callbacks.context, exchange->id);
  wp_exchange_drop(exchange);
  atomic_fetch_sub(&server->active, 1);
}

// Gives up on a request whose client has left, or that the end of the server overtakes.
static void abandon(wp_exchange *exchange) {
  pthread_mutex_lock(&exchange->lock);
  exchange->gone = true;
  if (exchange->suspended) {
    exchange->suspended = false;
    MHD_resume_connection(exchange->mhd);
  }
  pthread_mutex_unlock(&exchange->lock);
}

static bool client_left(int fd) {
  struct pollfd probe = {.fd = fd, .events = POLLRDHUP};
  return poll(&probe, 1, 0) > 0 && (probe.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

static void inspect(wp_server *server, wp_connection *connection, time_t now) {
  time_t age = now - connection->since;
  switch (connection->phase) {
    case PHASE_HEAD:
      if (age > (time_t)server->options.head_seconds) shutdown(connection->fd, SHUT_RDWR);
      break;
    case PHASE_BODY:
      if (age > (time_t)server->options.body_seconds) shutdown(connection->fd, SHUT_RDWR);
      break;
    case PHASE_IDLE:
      // The library's own time-out only sees silence: a head dribbled byte by byte ends here.
      if (age > (time_t)(server->options.idle_seconds + server->options.head_seconds))
        shutdown(connection->fd, SHUT_RDWR);
      break;
    case PHASE_BUSY:
      // A suspended connection is not polled by the library: a client that left is seen only here.
      if (connection->exchange && client_left(connection->fd)) abandon(connection->exchange);
      break;
  }
}

static void *reap(void *context) {
  wp_server *server = context;
  while (!atomic_load(&server->stopping)) {
    struct timespec pause = {.tv_nsec = 200 * 1000 * 1000};
    nanosleep(&pause, NULL);
    time_t now = wp_now();
    pthread_mutex_lock(&server->lock);
    for (wp_connection *c = server->connections; c; c = c->next) inspect(server, c, now);
    pthread_mutex_unlock(&server->lock);
  }
  return NULL;
}

static struct MHD_Daemon *start_daemon(wp_server *server, const struct sockaddr *address,
                                       bool is_v6) {
  unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC;
  if (is_v6) flags |= MHD_USE_IPv6;
  return MHD_start_daemon(
      flags, 0, NULL, NULL, on_access, server, MHD_OPTION_SOCK_ADDR, address,
      MHD_OPTION_THREAD_POOL_SIZE, server->options.threads, MHD_OPTION_CONNECTION_LIMIT,
      server->options.connections_max, MHD_OPTION_CONNECTION_TIMEOUT, server->options.idle_seconds,
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)(40 * 1024), MHD_OPTION_LISTEN_BACKLOG_SIZE,
      (unsigned)512, MHD_OPTION_NOTIFY_COMPLETED, on_completed, server,
      MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_URI_LOG_CALLBACK, on_target,
      server, MHD_OPTION_END);
}

wp_server *wp_server_start(const wp_options *options, wp_callbacks callbacks, char *error,
                           size_t error_size) {
  struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_PASSIVE, .ai_socktype = SOCK_STREAM};
  struct addrinfo *found = NULL;
  char port[8];
  snprintf(port, sizeof port, "%u", options->port);
  if (getaddrinfo(options->host, port, &hints, &found) != 0 || !found) {
    snprintf(error, error_size, "the host is no numeric address");
    return NULL;
  }
  wp_server *server = calloc(1, sizeof *server);
  if (server) {
    server->options = *options;
    server->options.host = NULL;
    server->callbacks = callbacks;
    pthread_mutex_init(&server->lock, NULL);
    server->daemon = start_daemon(server, found->ai_addr, found->ai_family == AF_INET6);
  }
  freeaddrinfo(found);
  if (!server || !server->daemon) {
    snprintf(error, error_size, "the address is taken or may not be used");
    free(server);
    return NULL;
  }
  const union MHD_DaemonInfo *info =
      MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_BIND_PORT);
  server->port = info ? info->port : options->port;
  if (pthread_create(&server->reaper, NULL, reap, server) != 0) {
    snprintf(error, error_size, "no thread for the deadlines");
    MHD_stop_daemon(server->daemon);
    free(server);
    return NULL;
  }
  return server;
}

uint16_t wp_server_port(wp_server *server) { return server->port; }
unsigned wp_server_active(wp_server *server) { return atomic_load(&server->active); }

void wp_server_quiesce(wp_server *server) {
  if (atomic_exchange(&server->quiesced, true)) return;
  MHD_socket listening = MHD_quiesce_daemon(server->daemon);
  if (listening != MHD_INVALID_SOCKET) close(listening);
}

void wp_server_abandon(wp_server *server) {
  pthread_mutex_lock(&server->lock);
  for (wp_connection *c = server->connections; c; c = c->next) {
    if (c->exchange) abandon(c->exchange);
    shutdown(c->fd, SHUT_RDWR);
  }
  pthread_mutex_unlock(&server->lock);
}

void wp_server_stop(wp_server *server) {
  atomic_store(&server->stopping, true);
  pthread_join(server->reaper, NULL);
  MHD_stop_daemon(server->daemon);
  pthread_mutex_destroy(&server->lock);
  free(server);
}
