// SPDX-License-Identifier: Apache-2.0
#include "gateway/body_spool.h"

#include <gtest/gtest.h>

namespace hawser::gateway {
namespace {

TEST(BodySpool, gives_back_what_it_was_given_from_memory_and_file) {
    for (const std::size_t size : {0UL, 1UL, 16384UL, 16385UL, 300'000UL}) {
        std::string body(size, '\0');
        for (std::size_t i = 0; i < size; ++i) body[i] = static_cast<char>(i * 31 % 251);
        BodySpool spool;
        for (std::size_t at = 0; at < size; at += 7001)
            ASSERT_TRUE(spool.append(std::string_view(body).substr(at, 7001)));
        ASSERT_EQ(spool.size(), size);
        for (int again = 0; again < 2; ++again) {
            std::string got;
            for (;;) {
                const auto piece = spool.read(got.size(), 10'000);
                ASSERT_TRUE(piece) << piece.error().text();
                if (piece->empty()) break;
                got += *piece;
            }
            EXPECT_TRUE(got == body) << size;
        }
    }
}

}  // namespace
}  // namespace hawser::gateway
