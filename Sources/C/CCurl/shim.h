#pragma once
#include <curl/curl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

// curl_easy_setopt and curl_easy_getinfo are variadic, which Swift cannot call.
static inline CURLcode ccurl_set_long(CURL *easy, CURLoption option, long value) {
  return curl_easy_setopt(easy, option, value);
}
static inline CURLcode ccurl_set_text(CURL *easy, CURLoption option, const char *value) {
  return curl_easy_setopt(easy, option, value);
}
static inline CURLcode ccurl_set_pointer(CURL *easy, CURLoption option, void *value) {
  return curl_easy_setopt(easy, option, value);
}
typedef size_t (*ccurl_sink)(char *bytes, size_t size, size_t count, void *context);
static inline CURLcode ccurl_set_sink(CURL *easy, CURLoption option, ccurl_sink sink) {
  return curl_easy_setopt(easy, option, sink);
}
static inline CURLcode ccurl_set_headers(CURL *easy, struct curl_slist *list) {
  return curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list);
}
static inline long ccurl_status(CURL *easy) {
  long status = 0;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  return status;
}
// Seconds that the answer's Retry-After asks for, in either of its forms; 0 where there is none.
static inline long ccurl_retry_after(CURL *easy) {
  curl_off_t seconds = 0;
  curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &seconds);
  return (long)seconds;
}
// A header of the final answer by its name, or NULL; libcurl's own until the handle goes.
static inline const char *ccurl_header(CURL *easy, const char *name) {
  struct curl_header *header = NULL;
  return curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK ? header->value : NULL;
}
static inline CURLcode ccurl_set_opener(CURL *easy, curl_opensocket_callback opener) {
  return curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, opener);
}
// The bytes of an address that is about to be connected to: 4 or 16 of them, 0 for any other family.
static inline int ccurl_address(const struct curl_sockaddr *address, unsigned char bytes[16]) {
  if (address->family == AF_INET) {
    struct sockaddr_in four;
    memcpy(&four, &address->addr, sizeof four);
    memcpy(bytes, &four.sin_addr, 4);
    return 4;
  }
  if (address->family == AF_INET6) {
    // libcurl's own buffer is as long as `addrlen` says, which `addr` alone is not.
    struct sockaddr_in6 six;
    if (address->addrlen < sizeof six) return 0;
    memcpy(&six, (const char *)address + offsetof(struct curl_sockaddr, addr), sizeof six);
    memcpy(bytes, &six.sin6_addr, 16);
    return 16;
  }
  return 0;
}
static inline curl_socket_t ccurl_open(const struct curl_sockaddr *address) {
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}
// The flags are macros that Swift does not import.
static inline void ccurl_start(void) { curl_global_init(CURL_GLOBAL_DEFAULT); }

// What is said on the connection, beside what the transfer does with it.
static inline CURLcode ccurl_set_trace(CURL *easy, curl_debug_callback trace, void *context) {
  CURLcode code = curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, trace);
  if (code == CURLE_OK) code = curl_easy_setopt(easy, CURLOPT_DEBUGDATA, context);
  return code == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L) : code;
}

// E-mail: the recipients, and where the message's bytes come from.
static inline CURLcode ccurl_set_recipients(CURL *easy, struct curl_slist *list) {
  return curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, list);
}
typedef size_t (*ccurl_source)(char *buffer, size_t size, size_t count, void *context);
static inline CURLcode ccurl_set_source(CURL *easy, ccurl_source source, void *context) {
  CURLcode code = curl_easy_setopt(easy, CURLOPT_READFUNCTION, source);
  return code == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_READDATA, context) : code;
}
