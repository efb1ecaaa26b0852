#include "search_internal.h"

#include <string.h>

#define GROUP 64          // Documents of one mask word.
#define RUN 8             // Groups looked at together: 4 KB of accumulators.
#define SPARSE_SHARE 128  // Below one posting to so many documents, touched groups are noted.
#define GROUPS (SEARCH_BLOCK / GROUP)

// --- Which documents may belong, a group at a time

// A document may belong where score > 0 and (share >= share_least or score > bound).
static void passing_portable(const search_accumulator *from, size_t groups, float share_least,
                             float bound, uint64_t *masks) {
  for (size_t g = 0; g < groups; g++) {
    uint64_t mask = 0;
    for (size_t k = 0; k < GROUP; k++) {
      search_accumulator one = from[g * GROUP + k];
      int passes = (one.score > 0) & ((one.share >= share_least) | (one.score > bound));
      mask |= (uint64_t)passes << k;
    }
    masks[g] = mask;
  }
}

#if defined(SEARCH_X86)
AVX2 static void passing_avx2(const search_accumulator *from, size_t groups, float share_least,
                              float bound, uint64_t *masks) {
  const __m256 shares_least = _mm256_set1_ps(share_least), bounds = _mm256_set1_ps(bound);
  for (size_t g = 0; g < groups; g++) {
    uint64_t mask = 0;
    for (unsigned k = 0; k < GROUP; k += 8) {
      const float *at = (const float *)(from + g * GROUP + k);
      __m256 a = _mm256_loadu_ps(at), b = _mm256_loadu_ps(at + 8);
      __m256 scores = _mm256_shuffle_ps(a, b, 0x88), shares = _mm256_shuffle_ps(a, b, 0xDD);
      __m256 passes = _mm256_or_ps(_mm256_cmp_ps(shares, shares_least, _CMP_GE_OQ),
                                   _mm256_cmp_ps(scores, bounds, _CMP_GT_OQ));
      passes = _mm256_and_ps(passes, _mm256_cmp_ps(scores, _mm256_setzero_ps(), _CMP_GT_OQ));
      // The shuffles work within halves: documents 0 1 4 5 and 2 3 6 7.
      __m256d ordered = _mm256_permute4x64_pd(_mm256_castps_pd(passes), 0xD8);
      mask |= (uint64_t)(unsigned)_mm256_movemask_ps(_mm256_castpd_ps(ordered)) << k;
    }
    masks[g] = mask;
  }
}

AVX512 static void passing_avx512(const search_accumulator *from, size_t groups, float share_least,
                                  float bound, uint64_t *masks) {
  const __m512i even =
      _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
  const __m512 shares_least = _mm512_set1_ps(share_least), bounds = _mm512_set1_ps(bound);
  for (size_t g = 0; g < groups; g++) {
    uint64_t mask = 0;
    for (unsigned k = 0; k < GROUP; k += 16) {
      const float *at = (const float *)(from + g * GROUP + k);
      __m512 a = _mm512_loadu_ps(at), b = _mm512_loadu_ps(at + 16);
      __m512 scores = _mm512_permutex2var_ps(a, even, b);
      __m512 shares = _mm512_permutex2var_ps(a, odd, b);
      __mmask16 above = _mm512_cmp_ps_mask(scores, _mm512_setzero_ps(), _CMP_GT_OQ);
      __mmask16 reach = _mm512_mask_cmp_ps_mask(above, shares, shares_least, _CMP_GE_OQ);
      __mmask16 best = _mm512_mask_cmp_ps_mask(above, scores, bounds, _CMP_GT_OQ);
      mask |= (uint64_t)(unsigned)(reach | best) << k;
    }
    masks[g] = mask;
  }
}
#endif

static void passing(const search_accumulator *from, size_t groups, float share_least, float bound,
                    uint64_t *masks) {
  SEARCH_DISPATCH(passing, from, groups, share_least, bound, masks);
}

// --- Collecting

// The best scores so far. Whoever is not above `bound` has `floor` better or earlier ones before it.
typedef struct {
  const search_criteria *criteria;
  search_matches *matches;
  int overflow;
  float bound;
  size_t floor;
  size_t best_count;
  float best[2 * SEARCH_FLOOR_MAX];
} collector;

static void collector_start(collector *c, const search_criteria *criteria,
                            search_matches *matches) {
  c->criteria = criteria;
  c->matches = matches;
  c->overflow = 0;
  c->floor = criteria->floor < SEARCH_FLOOR_MAX ? criteria->floor : SEARCH_FLOOR_MAX;
  c->bound = c->floor ? 0 : __builtin_inff();
  c->best_count = 0;
  matches->count = 0;
}

// Keeps the best `floor` scores of more, and raises the bound to the least of them.
static void trim(collector *c) {
  uint32_t least = search_nth_order(c->best, c->best_count, c->floor);
  size_t ties = c->floor, kept = 0;
  for (size_t i = 0; i < c->best_count; i++) ties -= search_order(c->best[i]) > least;
  for (size_t i = 0; i < c->best_count; i++) {
    float score = c->best[i];
    uint32_t order = search_order(score);
    int tie = (order == least) & (ties > 0);
    if (order == least) c->bound = score;
    c->best[kept] = score;
    kept += (order > least) | tie;
    ties -= (size_t)tie;
  }
  c->best_count = kept;
}

// Whether a document belongs whatever its share and rank.
static int belongs(const search_criteria *criteria, uint32_t doc) {
  return criteria->also && (criteria->also[doc / GROUP] >> (doc % GROUP) & 1);
}

static void offer(collector *c, uint32_t doc, search_accumulator one) {
  int is_best = one.score > c->bound;
  // The mask was made with an earlier, lower bound.
  if (!is_best && !(one.share >= c->criteria->share_least) && !belongs(c->criteria, doc)) return;
  search_matches *to = c->matches;
  if (to->count == to->capacity) {
    c->overflow = 1;
    return;
  }
  to->docs[to->count] = doc;
  to->scores[to->count] = one.score;
  to->shares[to->count] = one.share;
  to->count++;
  if (!is_best) return;
  c->best[c->best_count++] = one.score;
  // Trimming is one pass for each bit of a float: not for every document, yet soon.
  size_t most = c->floor < 32 ? c->floor + 32 : 2 * c->floor;
  if (c->best_count == most) trim(c);
}

// Offers the documents of some groups and clears them. `groups` may end in the middle of the last:
// `documents` says where, and what lies behind is not touched.
static void collect_groups(collector *c, search_accumulator *from, uint32_t first,
                           size_t documents) {
  search_accumulator last[GROUP] = {{0, 0}};
  uint64_t masks[RUN];
  size_t groups = documents / GROUP;
  const uint64_t *allowed = c->criteria->allowed, *also = c->criteria->also;
  passing(from, groups, c->criteria->share_least, c->bound, masks);
  if (documents % GROUP) {
    memcpy(last, from + groups * GROUP, documents % GROUP * sizeof *last);
    passing(last, 1, c->criteria->share_least, c->bound, masks + groups);
    groups++;
  }
  for (size_t g = 0; g < groups; g++) {
    const search_accumulator *group = g < documents / GROUP ? from + g * GROUP : last;
    for (uint64_t rest = also ? also[first / GROUP + g] : 0; rest; rest &= rest - 1)
      masks[g] |= (uint64_t)(group[__builtin_ctzll(rest)].score > 0) << __builtin_ctzll(rest);
    if (allowed) masks[g] &= allowed[first / GROUP + g];
    for (uint64_t rest = masks[g]; rest; rest &= rest - 1) {
      size_t k = g * GROUP + (size_t)__builtin_ctzll(rest);
      offer(c, first + (uint32_t)k, from[k]);
    }
  }
  // A constant size becomes plain vector stores; a call for each run would cost more than they do.
  size_t at = 0;
  for (; at + GROUP <= documents; at += GROUP) memset(from + at, 0, GROUP * sizeof *from);
  memset(from + at, 0, (documents - at) * sizeof *from);
}

// Offers and clears accumulators in runs; `first` is a multiple of GROUP.
static void collect_all(collector *c, search_accumulator *from, size_t first, size_t documents) {
  for (size_t at = 0; at < documents; at += RUN * GROUP) {
    size_t some = documents - at < RUN * GROUP ? documents - at : RUN * GROUP;
    collect_groups(c, from + at, (uint32_t)(first + at), some);
  }
}

// Drops the documents that were among the best only for a while.
static int collector_finish(collector *c) {
  if (c->overflow) return -1;
  if (c->best_count > c->floor) trim(c);
  if (c->floor && c->best_count < c->floor) return 0;
  const float bound = c->bound, share_least = c->criteria->share_least;
  size_t ties = 0, kept = 0, count = c->matches->count;
  for (size_t i = 0; i < c->best_count; i++) ties += c->best[i] == bound;
  uint32_t *docs = c->matches->docs;
  float *scores = c->matches->scores, *shares = c->matches->shares;
  for (size_t i = 0; i < count; i++) {
    // Few are kept and the rest fail both tests, so this branch is mostly foreseen.
    float score = scores[i], share = shares[i];
    if (score < bound && !(share >= share_least) && !belongs(c->criteria, docs[i])) continue;
    if (score == bound) {
      if (ties > 0) {
        ties--;
      } else if (!(share >= share_least) && !belongs(c->criteria, docs[i])) {
        continue;
      }
    }
    docs[kept] = docs[i];
    scores[kept] = score;
    shares[kept++] = share;
  }
  c->matches->count = kept;
  return 0;
}

// --- Accumulating

SHARED void add(search_accumulator *to, float score, float share) {
  to->score += score;
  to->share += share;
}

SHARED void touch(uint64_t *touched, uint32_t k) {
  touched[k / GROUP / 64] |= 1ull << (k / GROUP % 64);
}

// Adds the list's postings below `end`; notes their groups where `touched` is there.
SHARED void add_list(search_postings *list, uint32_t first, uint32_t end,
                     search_accumulator *accumulators, uint64_t *touched) {
  const uint32_t *docs = list->docs;
  const float *impacts = list->impacts;
  float weight = list->weight, share = list->share;
  size_t i = list->position, count = list->count;
  // One test for four postings: documents rise.
  while (i + 4 <= count && docs[i + 3] < end) {
    for (size_t k = 0; k < 4; k++) {
      add(accumulators + (docs[i + k] - first), weight * impacts[i + k], share);
      if (touched) touch(touched, docs[i + k] - first);
    }
    i += 4;
  }
  for (; i < count && docs[i] < end; i++) {
    add(accumulators + (docs[i] - first), weight * impacts[i], share);
    if (touched) touch(touched, docs[i] - first);
  }
  list->position = i;
}

// Adds the forms of one term below `end`: the greatest contribution of each document, once.
static void add_forms(search_postings *forms, size_t count, uint32_t first, uint32_t end,
                      search_workspace *workspace, uint64_t *touched) {
  float *best = workspace->best;
  for (size_t f = 0; f < count; f++)
    for (size_t i = forms[f].position; i < forms[f].count && forms[f].docs[i] < end; i++) {
      float score = forms[f].weight * forms[f].impacts[i];
      uint32_t k = forms[f].docs[i] - first;
      if (score > best[k]) best[k] = score;
    }
  for (size_t f = 0; f < count; f++) {
    size_t i = forms[f].position;
    for (; i < forms[f].count && forms[f].docs[i] < end; i++) {
      uint32_t k = forms[f].docs[i] - first;
      // Zero: an earlier form has brought this document's contribution already.
      if (best[k] == 0) continue;
      add(workspace->accumulators + k, best[k], forms[0].share);
      best[k] = 0;
      touch(touched, k);
    }
    forms[f].position = i;
  }
}

static void add_block(search_postings *lists, size_t list_count, uint32_t first, uint32_t end,
                      int is_sparse, search_workspace *workspace, uint64_t *touched) {
  for (size_t at = 0, next = 0; at < list_count; at = next) {
    next = at + 1;
    while (next < list_count && lists[next].term == lists[at].term) next++;
    if (next - at > 1) {
      add_forms(lists + at, next - at, first, end, workspace, touched);
    } else if (is_sparse) {
      add_list(lists + at, first, end, workspace->accumulators, touched);
    } else {
      add_list(lists + at, first, end, workspace->accumulators, NULL);
    }
  }
}

// The first document that any list still has, or `none`.
static size_t next_document(const search_postings *lists, size_t list_count, size_t none) {
  size_t least = none;
  for (size_t l = 0; l < list_count; l++) {
    if (lists[l].position == lists[l].count) continue;
    size_t doc = lists[l].docs[lists[l].position];
    if (doc < least) least = doc;
  }
  return least;
}

int search_text(search_postings *lists, size_t list_count, size_t document_count,
                const search_criteria *criteria, search_workspace *workspace,
                search_matches *matches) {
  collector c;
  collector_start(&c, criteria, matches);
  size_t postings = 0;
  for (size_t l = 0; l < list_count; l++) postings += lists[l].count;
  int is_sparse = postings < document_count / SPARSE_SHARE;
  for (;;) {
    size_t next = next_document(lists, list_count, document_count);
    if (next >= document_count) break;
    size_t first = next / SEARCH_BLOCK * SEARCH_BLOCK;
    size_t documents = document_count - first;
    if (documents > SEARCH_BLOCK) documents = SEARCH_BLOCK;
    uint64_t touched[GROUPS / 64] = {0};
    add_block(lists, list_count, (uint32_t)first, (uint32_t)(first + documents), is_sparse,
              workspace, touched);
    if (!is_sparse) {
      collect_all(&c, workspace->accumulators, first, documents);
      continue;
    }
    for (size_t w = 0; w < GROUPS / 64; w++)
      for (uint64_t rest = touched[w]; rest; rest &= rest - 1) {
        size_t at = (w * 64 + (size_t)__builtin_ctzll(rest)) * GROUP;
        size_t some = documents - at < GROUP ? documents - at : GROUP;
        collect_groups(&c, workspace->accumulators + at, (uint32_t)(first + at), some);
      }
  }
  return collector_finish(&c);
}
