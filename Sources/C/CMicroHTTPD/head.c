// The checks on a request's head. libmicrohttpd 0.9.75 lacks upstream's later fixes against request
// smuggling (1.0.4, 1.0.5), so what is ambiguous is refused here (RFC 9112 sections 3, 5, 6).
//
// The library cuts a value at a NUL, adds a folded line to the name before it, and takes a line that begins with a
// colon or a NUL for the head's end and the next one for another request; none of its options is against that. But
// it reads a head where it lies, and only writes a NUL over each blank, colon and line end that it splits at. So the
// parts that it names must lie one behind the other up to the head's last byte, or else it has left something out.
// A line end cannot be told from what looks the same afterwards: a NUL before a LF, and a line that is a colon and a
// LF, pass for CR LF.
#include "internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool is_token(const char *text) {
  if (!*text) return false;
  for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
    bool letter = (*c >= '0' && *c <= '9') || (*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z');
    if (!letter && !strchr("!#$%&'*+-.^_`|~", *c)) return false;
  }
  return true;
}

static bool is_field_value(const char *text) {
  for (const unsigned char *c = (const unsigned char *)text; *c; c++)
    if ((*c < 0x20 && *c != '\t') || *c == 0x7F) return false;
  return true;
}

static bool is_plain_length(const char *text) {
  size_t count = strlen(text);
  return count > 0 && count <= 15 && strspn(text, "0123456789") == count;
}

static bool target_is_sound(const char *target) {
  if (target[0] != '/' && strcmp(target, "*") != 0) return false;
  for (const unsigned char *c = (const unsigned char *)target; *c; c++) {
    if (*c <= 0x20 || *c >= 0x7F) return false;
    if (*c == '%' && c[1] == '0' && c[2] == '0') return false;
  }
  return true;
}

// Said twice, a proxy may have looked at the one and we at the other: whose request it is, and which.
static const char *const said_once[] = {"Host", "Content-Length", "Transfer-Encoding", "Content-Type",
                                        "Authorization", "Idempotency-Key", "Origin"};

static bool repeats_one(const wp_exchange *exchange) {
  for (size_t name = 0; name < sizeof said_once / sizeof *said_once; name++) {
    unsigned count = 0;
    for (size_t i = 0; i < exchange->header_count; i++)
      if (strcasecmp(exchange->headers[i].name, said_once[name]) == 0 && ++count > 1) return true;
  }
  return false;
}

const char *wp_after_start_line(const wp_exchange *exchange, const char *method,
                                const char *version) {
  const char *target = exchange->raw_target;
  if (!exchange->target || target != method + strlen(method) + 1) return NULL;
  return version == target + strlen(exchange->target) + 1 ? version + strlen(version) : NULL;
}

const char *wp_after_header(const char *at, const char *name, size_t name_count,
                            const char *value, size_t value_count) {
  if (!at || (name != at + 1 && (name != at + 2 || at[1] != 0))) return NULL;
  const char *start = name + name_count + 1;
  start += strspn(start, " \t");
  return value == start ? value + value_count : NULL;
}

bool wp_is_head_end(const char *at, const char *end) {
  // The last line's end and the empty line, each as LF or CR LF.
  size_t count = at ? (size_t)(end - at) : 0;
  return count >= 2 && count <= 4 && memcmp(at, "\0\0\0\0", count) == 0;
}

static int refuse(wp_exchange *exchange, int status, const char *code) {
  exchange->refused_code = code;
  return status;
}

int wp_check_head(wp_exchange *exchange, const char *version, bool is_whole) {
  unsigned hosts = 0, lengths = 0, encodings = 0;
  unsigned long long length = 0;
  bool sound = is_whole && is_token(exchange->method);
  for (size_t i = 0; i < exchange->header_count; i++) {
    wp_header header = exchange->headers[i];
    if (!is_token(header.name) || !is_field_value(header.value)) sound = false;
    if (strcasecmp(header.name, "Host") == 0) hosts++;
    if (strcasecmp(header.name, "Content-Length") == 0) {
      lengths++;
      if (!is_plain_length(header.value)) sound = false;
      length = strtoull(header.value, NULL, 10);
    }
    if (strcasecmp(header.name, "Transfer-Encoding") == 0) {
      encodings++;
      if (strcasecmp(header.value, "chunked") != 0) sound = false;
    }
  }
  bool is10 = strcmp(version, "HTTP/1.0") == 0, is11 = strcmp(version, "HTTP/1.1") == 0;
  if (!exchange->target || strlen(exchange->target) > TARGET_MAX)
    return refuse(exchange, 414, "target_too_long");
  if (exchange->header_bytes + strlen(exchange->target) > HEAD_MAX ||
      exchange->header_count > HEADER_COUNT_MAX)
    return refuse(exchange, 431, "head_too_large");
  if (!is10 && !is11) return refuse(exchange, 505, "version_not_supported");
  if (!sound || !target_is_sound(exchange->target) || repeats_one(exchange) ||
      (lengths && encodings) || (is10 && encodings) || (is11 && hosts == 0))
    return refuse(exchange, 400, "malformed_request");
  if (length > exchange->server->options.body_max) return refuse(exchange, 413, "body_too_large");
  exchange->is_chunked = encodings > 0;
  exchange->announced = (size_t)length;
  exchange->has_body = encodings > 0 || length > 0;
  return 0;
}
