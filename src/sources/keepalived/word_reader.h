// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

#include "sources/keepalived/slots.h"

namespace hawser::keepalived {

// Goes through the words of one item (an address, a route): options and what belongs to them.
struct WordReader {
    Reading& reading;
    std::span<const Word> words;
    std::size_t at = 0;  // the next one
    bool ok = true;

    void wrong(std::size_t i, const std::string& text) {
        reading.error(words[i].position, "\"" + words[i].text + "\" " + text);
        ok = false;
    }
    // The word behind an option; nullptr (and an error) if there is none.
    const Word* parameter(const char* expects) {
        if (at + 1 == words.size()) {
            wrong(at++, std::string("needs a parameter: ") + expects);
            return nullptr;
        }
        at += 2;
        return &words[at - 1];
    }
    // The parameter that was read last.
    void invalid(const char* expects) { wrong(at - 1, std::string("is not valid here: expected ") + expects); }
};

}  // namespace hawser::keepalived
