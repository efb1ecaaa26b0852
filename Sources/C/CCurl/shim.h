#pragma once
#include <curl/curl.h>

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
// The flags are macros that Swift does not import.
static inline void ccurl_start(void) { curl_global_init(CURL_GLOBAL_DEFAULT); }

// E-mail: the recipients, and where the message's bytes come from.
static inline CURLcode ccurl_set_recipients(CURL *easy, struct curl_slist *list) {
  return curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, list);
}
typedef size_t (*ccurl_source)(char *buffer, size_t size, size_t count, void *context);
static inline CURLcode ccurl_set_source(CURL *easy, ccurl_source source, void *context) {
  CURLcode code = curl_easy_setopt(easy, CURLOPT_READFUNCTION, source);
  return code == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_READDATA, context) : code;
}
