// The inner loops of search: vector scan, selection, exact rescoring, ranked text accumulation.
//
// Every function: nothing is allocated; buffers belong to the caller and need the alignment of
// their element only; an output overlaps no input; a pointer may be NULL only where it says so, or
// where its count is 0; no state but the thread's level, so any thread may call. Rows of vectors are
// contiguous. Row and document numbers are below 2^31. Floats are finite.
// Results are the same at every level, but for search_dot (see there).
#pragma once
#include <stddef.h>
#include <stdint.h>

// Instruction sets: plain C; AVX2 + FMA; AVX-512 F, BW, DQ, VL, VNNI, VPOPCNTDQ.
#define SEARCH_LEVEL_PORTABLE 0
#define SEARCH_LEVEL_AVX2 1
#define SEARCH_LEVEL_AVX512 2

// The level in use: the processor's best, or the limit where that is lower.
int search_kernels_level(void);
// Uses no level above this one on this thread, from the next call on; for tests and comparisons,
// which thus leave the float products of other threads alone.
void search_kernels_limit(int level);

// --- Vectors as bits

// The 64-bit words of one row of d bits: ceil(d / 64).
size_t search_words(size_t d);
// bits[r][c] = rows[r][c] > 0, component c in bit c % 64 of word c / 64, unused bits 0.
// rows: count x d floats; bits: count x search_words(d) words.
void search_sign_bits(const float *rows, size_t count, size_t d, uint64_t *bits);

#define SEARCH_PLANES_MAX 4
// A query as plane_count (1...4) bit planes, the least weight first: each component becomes a whole
// number 0...2^plane_count - 1, even steps over +- a few root mean squares; one plane is the sign.
// planes: plane_count x search_words(d) words.
void search_planes(const float *query, size_t d, size_t plane_count, uint64_t *planes);

// distances[r] = sum over planes p of 2^p * popcount(planes[p] ^ rows[r]): with one plane the Hamming
// distance of signs; with more it falls as the product of the query with the row's signs rises.
// planes: plane_count x words, plane_count 1...4; rows: count x words; distances: count.
// (2^plane_count - 1) * 64 * words must be <= 65,535. Fastest at 6 words (384 dimensions).
void search_hamming(const uint64_t *planes, size_t plane_count, const uint64_t *rows, size_t words,
                    size_t count, uint16_t *distances);

// Distances from here on count as this one: 16,383, that is 4 planes of 1,088 dimensions.
#define SEARCH_DISTANCE_MAX 16383
// The rows with the least distances, ties by row number, in rising row order.
// allowed: a bitset of count bits (bits past count are ignored) or NULL for all rows.
// out: room for min(wanted, count) numbers. Returns min(wanted, allowed rows), all of it filled.
size_t search_select(const uint16_t *distances, const uint64_t *allowed, size_t count,
                     size_t wanted, uint32_t *out);

// The positions of the greatest values, ties by position, in rising order of position.
// out: room for min(wanted, count) numbers. Returns min(wanted, count). +0 is above -0.
size_t search_best(const float *values, size_t count, size_t wanted, uint32_t *out);

// --- Products

// out[i] = query . rows[indexes[i]], or rows[i] where indexes is NULL; d floats each; out: n.
// A row's sum has one order wherever the row stands and whoever its neighbours are. AVX2 and
// AVX-512 agree to the bit; the portable form differs in rounding (no fused multiply-add).
void search_dot(const float *query, const float *rows, const uint32_t *indexes, size_t n, size_t d,
                float *out);

// --- Ranked text

// What one document has gathered: 8 bytes, so that a posting touches one cache line.
typedef struct {
  float score;
  float share;
} search_accumulator;

// The postings of one form of a query term.
typedef struct {
  // Rising, each below the document count; impacts above 0.
  const uint32_t *docs;
  const float *impacts;
  size_t count;
  // A document's score gains weight * impact, its share gains share. weight above 0.
  float weight;
  float share;
  // Neighbours in the list with one term number are forms of one term: of those that a document has,
  // only the greatest weight * impact counts, and the first one's share counts once.
  uint32_t term;
  // How far search_text has come. Zero before the call.
  size_t position;
} search_postings;

// Which of the scored documents belong to the answer.
typedef struct {
  // A bitset of document_count bits, or NULL for all. What it lacks is as if it were not there.
  const uint64_t *allowed;
  // A bitset of document_count bits, bits past it 0, or NULL: a document belongs whose bit is set ...
  const uint64_t *also;
  // ... and one whose share reaches this ...
  float share_least;
  // ... and the best so many by score, ties by document number. At most SEARCH_FLOOR_MAX.
  size_t floor;
} search_criteria;
#define SEARCH_FLOOR_MAX 1024

// The documents that belong, rising. Each array has room for `capacity`.
typedef struct {
  uint32_t *docs;
  float *scores;
  float *shares;
  size_t capacity;
  size_t count;
} search_matches;

// Documents handled at a time by search_text: their accumulators stay in the processor's cache.
#define SEARCH_BLOCK 8192
typedef struct {
  search_accumulator accumulators[SEARCH_BLOCK];
  float best[SEARCH_BLOCK];
} search_workspace;

// All documents with a score above 0 that meet the criteria, a block of them at a time.
// workspace: all zero before the first call, and zero again after each.
// The capacity must be min(document_count, postings) for any answer to fit. Returns 0, or -1 where
// the capacity was too small: then the matches are worthless.
int search_text(search_postings *lists, size_t list_count, size_t document_count,
                const search_criteria *criteria, search_workspace *workspace,
                search_matches *matches);
