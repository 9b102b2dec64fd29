// SPDX-License-Identifier: Apache-2.0
#include "gateway/http1/syntax.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace hawser::gateway::http1 {

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

std::size_t find_control(std::string_view text, std::size_t from, bool tab_stops) {
#ifdef __SSE2__
    const __m128i last_control = _mm_set1_epi8(0x1f);
    const __m128i del = _mm_set1_epi8(0x7f);
    const __m128i tab = _mm_set1_epi8('\t');
    while (from + 16 <= text.size()) {
        const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + from));
        // min(x, 0x1f) == x is the unsigned x <= 0x1f that SSE2 lacks.
        __m128i found = _mm_cmpeq_epi8(_mm_min_epu8(block, last_control), block);
        if (!tab_stops) found = _mm_andnot_si128(_mm_cmpeq_epi8(block, tab), found);
        found = _mm_or_si128(found, _mm_cmpeq_epi8(block, del));
        const int mask = _mm_movemask_epi8(found);
        if (mask != 0) return from + static_cast<std::size_t>(__builtin_ctz(static_cast<unsigned>(mask)));
        from += 16;
    }
#endif
    for (; from < text.size(); ++from) {
        if (is_control(text[from]) && (tab_stops || text[from] != '\t')) return from;
    }
    return from;
}

}  // namespace hawser::gateway::http1
