#pragma once
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <string.h>

// Variadic macros and multi-step sequences that Swift cannot write; each returns 1 for success.

static inline EVP_PKEY *copenssl_p256_generate(void) { return EVP_EC_gen("P-256"); }

// The uncompressed public point, 0x04 || x || y: 65 bytes.
static inline int copenssl_p256_public(EVP_PKEY *key, unsigned char point[65]) {
  size_t count = 0;
  return EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, 65, &count) == 1 &&
         count == 65 && point[0] == 4;
}

// A public key from its point; OpenSSL refuses a point that is not on the curve.
static inline EVP_PKEY *copenssl_p256_from_public(const unsigned char point[65]) {
  EVP_PKEY *key = NULL;
  OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
  OSSL_PARAM *params = NULL;
  EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
  if (build && context &&
      OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) == 1 &&
      OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, 65) == 1 &&
      (params = OSSL_PARAM_BLD_to_param(build)) && EVP_PKEY_fromdata_init(context) == 1) {
    if (EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) != 1) key = NULL;
  }
  OSSL_PARAM_free(params);
  OSSL_PARAM_BLD_free(build);
  EVP_PKEY_CTX_free(context);
  return key;
}

// ES256 (RFC 7518 section 3.4): the signature is r || s, 32 bytes each.
static inline int copenssl_es256_sign(EVP_PKEY *key, const unsigned char *message, size_t count,
                                      unsigned char signature[64]) {
  unsigned char der[80];
  size_t der_count = sizeof der;
  int done = 0;
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  if (context && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
      EVP_DigestSign(context, der, &der_count, message, count) == 1) {
    const unsigned char *at = der;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)der_count);
    if (pair) {
      done = BN_bn2binpad(ECDSA_SIG_get0_r(pair), signature, 32) == 32 &&
             BN_bn2binpad(ECDSA_SIG_get0_s(pair), signature + 32, 32) == 32;
      ECDSA_SIG_free(pair);
    }
  }
  EVP_MD_CTX_free(context);
  return done;
}

static inline int copenssl_es256_verify(EVP_PKEY *key, const unsigned char *message, size_t count,
                                        const unsigned char signature[64]) {
  int valid = 0;
  unsigned char *der = NULL;
  ECDSA_SIG *pair = ECDSA_SIG_new();
  BIGNUM *r = BN_bin2bn(signature, 32, NULL);
  BIGNUM *s = BN_bin2bn(signature + 32, 32, NULL);
  if (pair && r && s && ECDSA_SIG_set0(pair, r, s) == 1) {
    r = s = NULL;  // owned by the pair now
    int der_count = i2d_ECDSA_SIG(pair, &der);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (der_count > 0 && context &&
        EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) == 1)
      valid = EVP_DigestVerify(context, der, (size_t)der_count, message, count) == 1;
    EVP_MD_CTX_free(context);
  }
  OPENSSL_free(der);
  BN_free(r);
  BN_free(s);
  ECDSA_SIG_free(pair);
  return valid;
}

static inline EVP_PKEY *copenssl_ed25519_generate(void) {
  return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
}

static inline EVP_PKEY *copenssl_rsa_generate(void) {
  return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
}

// What a key is: 1 EC on P-256, 2 Ed25519, 3 RSA, 0 anything else.
static inline int copenssl_kind(EVP_PKEY *key) {
  char group[32];
  size_t count = 0;
  if (EVP_PKEY_is_a(key, "ED25519")) return 2;
  if (EVP_PKEY_is_a(key, "RSA")) return 3;
  if (EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof group, &count) == 1)
    return strcmp(group, "prime256v1") == 0 || strcmp(group, "P-256") == 0;
  return 0;
}

static inline int copenssl_ed25519_public(EVP_PKEY *key, unsigned char point[32]) {
  size_t count = 32;
  return EVP_PKEY_get_raw_public_key(key, point, &count) == 1 && count == 32;
}

static inline EVP_PKEY *copenssl_ed25519_from_public(const unsigned char point[32]) {
  return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, point, 32);
}

// The big-endian bytes of an RSA key's modulus or exponent; how many there are, or 0.
static inline int copenssl_rsa_number(EVP_PKEY *key, int wants_modulus, unsigned char *output,
                                      int count_max) {
  BIGNUM *number = NULL;
  const char *name = wants_modulus ? OSSL_PKEY_PARAM_RSA_N : OSSL_PKEY_PARAM_RSA_E;
  if (EVP_PKEY_get_bn_param(key, name, &number) != 1) return 0;
  int count = BN_num_bytes(number);
  if (count > count_max) count = 0;
  if (count > 0) BN_bn2bin(number, output);
  BN_free(number);
  return count;
}

static inline EVP_PKEY *copenssl_rsa_from_public(const unsigned char *modulus, int modulus_count,
                                                 const unsigned char *exponent,
                                                 int exponent_count) {
  EVP_PKEY *key = NULL;
  BIGNUM *n = BN_bin2bn(modulus, modulus_count, NULL);
  BIGNUM *e = BN_bin2bn(exponent, exponent_count, NULL);
  OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
  OSSL_PARAM *params = NULL;
  EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
  if (n && e && build && context && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
      OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) == 1 &&
      (params = OSSL_PARAM_BLD_to_param(build)) && EVP_PKEY_fromdata_init(context) == 1) {
    if (EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) != 1) key = NULL;
  }
  OSSL_PARAM_free(params);
  OSSL_PARAM_BLD_free(build);
  EVP_PKEY_CTX_free(context);
  BN_free(n);
  BN_free(e);
  return key;
}

// A signature as OpenSSL writes it: EdDSA without a hash of ours, RSA with SHA-256 and PKCS #1 v1.5.
static inline int copenssl_sign(EVP_PKEY *key, int hashes, const unsigned char *message,
                                size_t count, unsigned char *signature, size_t *signature_count) {
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  int done =
      context &&
      EVP_DigestSignInit(context, NULL, hashes ? EVP_sha256() : NULL, NULL, key) == 1 &&
      EVP_DigestSign(context, signature, signature_count, message, count) == 1;
  EVP_MD_CTX_free(context);
  return done;
}

static inline int copenssl_verify(EVP_PKEY *key, int hashes, const unsigned char *message,
                                  size_t count, const unsigned char *signature,
                                  size_t signature_count) {
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  int valid =
      context &&
      EVP_DigestVerifyInit(context, NULL, hashes ? EVP_sha256() : NULL, NULL, key) == 1 &&
      EVP_DigestVerify(context, signature, signature_count, message, count) == 1;
  EVP_MD_CTX_free(context);
  return valid;
}

// AES-256-GCM: nonce 12 bytes, tag 16 bytes behind the text.
static inline int copenssl_seal(const unsigned char key[32], const unsigned char nonce[12],
                                const unsigned char *label, int label_count,
                                const unsigned char *text, int count, unsigned char *output) {
  int n = 0, m = 0, done = 0;
  EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
  if (context && EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
      EVP_EncryptUpdate(context, NULL, &n, label, label_count) == 1 &&
      EVP_EncryptUpdate(context, output, &n, text, count) == 1 &&
      EVP_EncryptFinal_ex(context, output + n, &m) == 1)
    done = EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, 16, output + count) == 1;
  EVP_CIPHER_CTX_free(context);
  return done;
}

static inline int copenssl_open(const unsigned char key[32], const unsigned char nonce[12],
                                const unsigned char *label, int label_count,
                                const unsigned char *sealed, int count, unsigned char *output) {
  int n = 0, m = 0, done = 0;
  EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
  if (context && EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
      EVP_DecryptUpdate(context, NULL, &n, label, label_count) == 1 &&
      EVP_DecryptUpdate(context, output, &n, sealed, count) == 1 &&
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, 16, (void *)(sealed + count)) == 1)
    done = EVP_DecryptFinal_ex(context, output + n, &m) == 1;
  EVP_CIPHER_CTX_free(context);
  return done;
}
